"""Takes over an existing database: the migrations are recorded but not run."""

from dataclasses import dataclass, field, replace

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from ...errors import ActionableError
from .. import errors
from ..backends import backend
from ..backends.common import check_engine
from ..config import MigrationConfig, default_config
from ..drift import Difference, Snapshot, compare
from ..folder import Folder, name_of
from ..history import HistoryWriter
from ..lock import migration_lock
from ..plan import Plan, find, make_plan, read_state
from ..snapshots import other_tools, snapshot_schema
from .chain import chain_snapshot


@dataclass(frozen=True)
class BaselineResult:
    """The migrations that were taken over, or the reason why none were.

    Attributes:
        migrations: names of the recorded migrations. No rollback undoes them.
        differences: between the database and what these migrations make.
        other_tools: existing bookkeeping tables, by name, each with its tool.
        error: why nothing could be compared or recorded.
    """

    migrations: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    other_tools: dict[str, str] = field(default_factory=dict)
    error: ActionableError | None = None

    @property
    def success(self) -> bool:
        """Whether it was taken over."""
        return self.error is None and bool(self.migrations)


def take_over(
    engine: Engine,
    name: str | None = None,
    *,
    accept_differences: str | None = None,
    config: MigrationConfig | None = None,
) -> BaselineResult:
    """Record migrations as applied if the database already has their schema, without running them.

    The schema must be equal to what they make in an empty database.

    Args:
        name: the last migration that the database has; default: the newest.
        accept_differences: the reason for recording them although the schemas differ. It is stored
            in the history.
    """
    config = config or default_config()
    try:
        check_engine(engine, backend.DIALECT, backend.DRIVER)
        if accept_differences is not None and not accept_differences.strip():
            raise errors.reason_missing()
        scope = config.scope.name
        with migration_lock(engine, config.lock_timeout, scope, config.observer) as lock:
            plan = _to_be_taken_over(engine, config, name)
            live = snapshot_schema(engine, config=config)
            result = _compare(engine, config, plan, live)
            if result.differences and accept_differences is None:
                return result
            with (
                backend.migrating(engine, config, lock.verify) as connection,
                connection.begin(),
            ):
                record(connection, config, plan, live.fingerprint, accept_differences)
        return replace(result, migrations=tuple(map(name_of, plan.applied)))
    except ActionableError as error:
        return BaselineResult(error=error)
    except SQLAlchemyError as error:
        return BaselineResult(error=backend.explain(engine, error))


def _to_be_taken_over(engine: Engine, config: MigrationConfig, name: str | None) -> Plan:
    """A plan in which the migrations up to ``name`` are applied."""
    folder, state = Folder(config), read_state(engine, config)
    if applied := make_plan(folder, state).applied:
        raise errors.has_history([name_of(script) for script in applied])
    folder.check_one_head()
    chain = folder.chain
    if name is not None:
        chain = chain[: chain.index(find(chain, name)) + 1]
    if not chain:
        raise errors.nothing_to_take_over(config.versions)
    return Plan(folder, state, chain, ())


def _compare(engine: Engine, config: MigrationConfig, plan: Plan, live: Snapshot) -> BaselineResult:
    if not any(item.kind == "table" for item in live.items):
        raise errors.database_empty()
    revisions = {script.revision for script in plan.applied}
    expected = chain_snapshot(engine, config, revisions, folder=plan.folder)
    return BaselineResult(
        differences=tuple(compare(expected, live)), other_tools=other_tools(engine, config)
    )


def record(
    connection: Connection, config: MigrationConfig, plan: Plan, fingerprint: str, note: str | None
) -> None:
    """Record the applied migrations of the plan as a baseline.

    Args:
        fingerprint: of the current schema.
        note: text to store with the last migration.
    """
    from ..alembic_bridge import stamp

    last = plan.applied[-1].revision
    writer = HistoryWriter(config, plan.state.columns)
    writer.take_over(connection, plan.unrecorded(), set())
    writer.note_baseline(connection, last, fingerprint, note)
    stamp(connection, plan.folder.directory, last, config)
