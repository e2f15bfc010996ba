"""The schema that the migrations or the models make in an empty database."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import Engine
from sqlalchemy.schema import CreateSchema

from ..backends import backend
from ..before_run import nothing
from ..config import MigrationConfig
from ..drift import Snapshot
from ..events import Observer
from ..folder import Folder
from ..plan import Plan
from ..runner import upgrade
from ..snapshots import snapshot_schema

if TYPE_CHECKING:
    from alembic.script import Script


def chain_snapshot(
    engine: Engine,
    config: MigrationConfig,
    revisions: Collection[str] | None = None,
    *,
    folder: Folder | None = None,
) -> Snapshot:
    """The schema that the migrations make, in a scratch database on the same server.

    Args:
        revisions: of the migrations to apply; default: all.
        folder: the loaded folder, if there is one.

    Raises:
        ActionableError: no-scratch-database, or a migration does not run on an empty database.
    """
    with chain_applied(engine, config, revisions, folder=folder) as (scratch, applied):
        return snapshot_schema(scratch, config=applied)


@contextmanager
def chain_applied(
    engine: Engine,
    config: MigrationConfig,
    revisions: Collection[str] | None = None,
    observer: Observer | None = None,
    *,
    folder: Folder | None = None,
) -> Iterator[tuple[Engine, MigrationConfig]]:
    """A scratch database on the same server to which the migrations were applied.

    It comes with a configuration for applying more migrations.

    Args:
        revisions: of the migrations to apply; default: all.
        observer: gets the events of the configuration's own schema; default: none.
        folder: the loaded folder, if there is one.

    Raises:
        ActionableError: as for :func:`chain_snapshot`.
    """

    def choose(plan: Plan) -> "list[Script]":
        return [s for s in plan.pending if revisions is None or s.revision in revisions]

    scopes = config.scope.scratch_steps()
    # There it makes no backup, waits for no instance and no backfill, and creates no roles, since
    # roles belong to the whole server.
    quiet = replace(
        config,
        observer=Observer(),
        before_run=nothing,
        force_contracts=True,
        awaits_backfills=False,
        tenant_roles=False,
        verify="off",
    )
    with backend.scratch(engine) as scratch:
        for scope in scopes:
            scoped = replace(quiet, scope=scope)
            if observer is not None and scope is scopes[-1]:
                scoped = replace(scoped, observer=observer)
            folder = folder.for_next_run() if folder else Folder(config)
            upgrade(scratch, scoped, choose, folder=folder).raise_for_error()
        yield scratch, replace(quiet, scope=scopes[-1])


def models_snapshot(engine: Engine, config: MigrationConfig) -> Snapshot:
    """The schema that the models make, in a scratch database on the same server.

    Raises:
        ActionableError: no-scratch-database.
    """
    with backend.scratch(engine) as scratch:
        with scratch.begin() as connection:
            if config.scope.name:
                connection.execute(CreateSchema(config.scope.name))
            config.scope.enter(connection)
            config.scope.tables(config.load_metadata()).create_all(connection)
        return snapshot_schema(scratch, config=config)
