"""Compares the database with what its migrations make."""

from dataclasses import dataclass, replace

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from ...errors import ActionableError
from .. import errors
from ..backends import backend
from ..backends.common import check_engine
from ..config import MigrationConfig, default_config
from ..drift import Difference, compare
from ..folder import Folder, name_of
from ..plan import make_plan, read_state
from ..results import MigrationResult
from ..snapshots import snapshot_schema
from .chain import chain_snapshot


@dataclass(frozen=True)
class VerifyResult:
    """The result of comparing a schema with what its applied migrations make.

    Attributes:
        differences: each with its possible cause and the action.
        pending: names of migrations that are not applied; they are not compared.
        changed_since_run: whether the schema has changed since the last run;
            None if that run recorded no fingerprint.
        error: why nothing could be compared.
    """

    differences: tuple[Difference, ...] = ()
    pending: tuple[str, ...] = ()
    changed_since_run: bool | None = None
    error: ActionableError | None = None

    @property
    def success(self) -> bool:
        """Whether they were compared and are equal."""
        return self.error is None and not self.differences


def verify_schema(engine: Engine, *, config: MigrationConfig | None = None) -> VerifyResult:
    """Compare the database with what its applied migrations make.

    They are run in an empty database on the same server, which is dropped afterwards. In the
    service's database only the catalog is read; nothing is changed and no lock is held. In a
    multi-tenant service it compares the schema ``public``.
    """
    config = config or default_config()
    return _verify(engine, config, Folder(config))


def _verify(engine: Engine, config: MigrationConfig, folder: Folder) -> VerifyResult:
    try:
        check_engine(engine, backend.DIALECT, backend.DRIVER)
        return _compare(engine, config, folder)
    except ActionableError as error:
        return VerifyResult(error=error)
    except SQLAlchemyError as error:
        return VerifyResult(error=backend.explain(engine, error))


def _compare(engine: Engine, config: MigrationConfig, folder: Folder) -> VerifyResult:
    plan = make_plan(folder, read_state(engine, config))
    found = snapshot_schema(engine, config=config)
    revisions = {script.revision for script in plan.applied}
    expected = chain_snapshot(engine, config, revisions, folder=folder)
    last = {script.revision for script in plan.applied[-1:]}
    recorded = [row.fingerprint for row in plan.state.history if row.revision in last]
    ever = next(filter(None, recorded), None)
    return VerifyResult(
        differences=tuple(compare(expected, found)),
        pending=tuple(map(name_of, plan.pending)),
        changed_since_run=None if ever is None else ever != found.fingerprint,
    )


def verified(
    engine: Engine,
    config: MigrationConfig,
    result: MigrationResult,
    *,
    folder: Folder | None = None,
) -> MigrationResult:
    """A run's result; it is a failure if MIGRATION_VERIFY=after finds a difference.

    The run stays applied.

    Args:
        folder: the folder of the run.
    """
    if config.verify != "after" or not result.success or not result.migrations:
        return result
    verification = _verify(engine, config, folder or Folder(config))
    error = verification.error
    if verification.differences:
        error = errors.schema_differs([one.sentence for one in verification.differences])
    return replace(result, success=error is None, error=error)
