"""What the engine can do, each in one function. The package itself is its public face."""

from sqlalchemy import Engine

from . import runner as run
from .config import MigrationConfig, check_engine, service_config
from .lock import lock_for
from .plan import make_status, read_stand
from .results import (
    CompletedMigration,
    LockHolder,
    MigrationError,
    MigrationResult,
    MigrationStatus,
    NewMigration,
)

__all__ = [
    "CompletedMigration",
    "LockHolder",
    "MigrationConfig",
    "MigrationError",
    "MigrationResult",
    "MigrationStatus",
    "NewMigration",
    "get_lock_holder",
    "get_migration_status",
    "make_migration",
    "migrate_down",
    "migrate_up",
    "migration_sql",
    "rollback_migrations",
    "run_migrations",
    "unlock",
]


def run_migrations(
    engine: Engine, *, config: MigrationConfig | None = None, allow_changed: bool = False
) -> MigrationResult:
    """Apply all pending migrations as one batch (knex migrate:latest).

    The whole run is one transaction, unless a pending migration says ``transaction = False``; then
    each migration is its own.

    Args:
        config: what to work on; this service's own migrations when left out.
        allow_changed: go on although files changed after they were applied, and remember them as
            they are now.
    """
    config = config or service_config()
    return run.upgrade(engine, config, run.all_pending, allow_changed=allow_changed)


def migrate_up(
    engine: Engine, name: str | None = None, *, config: MigrationConfig | None = None
) -> MigrationResult:
    """Apply the next pending migration as its own batch (knex migrate:up).

    Args:
        name: file name, revision or the name typed at ``make``; it must be the next.
    """
    choice = run.next_pending if name is None else run.pending_called(name)
    return run.upgrade(engine, config or service_config(), choice)


def migrate_down(
    engine: Engine, name: str | None = None, *, config: MigrationConfig | None = None
) -> MigrationResult:
    """Undo the newest applied migration (knex migrate:down).

    Args:
        name: file name, revision or the name typed at ``make``; it must be the newest applied.
    """
    choice = run.newest if name is None else run.applied_called(name)
    return run.downgrade(engine, config or service_config(), choice)


def rollback_migrations(
    engine: Engine, *, everything: bool = False, config: MigrationConfig | None = None
) -> MigrationResult:
    """Undo the newest batch, last applied first (knex migrate:rollback).

    Each migration is undone in its own transaction: a rollback that fails keeps what it did and can
    be continued.

    Args:
        everything: undo all batches.
    """
    choice = run.everything if everything else run.newest_batch
    return run.downgrade(engine, config or service_config(), choice)


def get_migration_status(
    engine: Engine, *, config: MigrationConfig | None = None
) -> MigrationStatus:
    """What is completed and what is pending. Writes nothing and takes no lock.

    Raises:
        MigrationError: the database does not answer, or the folder is not in order.
    """
    check_engine(engine)
    config = config or service_config()
    return make_status(config, read_stand(engine, config))


def make_migration(
    engine: Engine,
    name: str,
    *,
    empty: bool = False,
    merge: bool = False,
    config: MigrationConfig | None = None,
) -> NewMigration:
    """Write a migration file, filled in from the difference between models and database.

    Args:
        empty: leave it blank.
        merge: join several last migrations into one.

    Raises:
        MigrationError: the name cannot be a file name, or the folder is not in order.
    """
    from . import make

    return make.make_migration(engine, config or service_config(), name, empty=empty, merge=merge)


def migration_sql(engine: Engine, *, config: MigrationConfig | None = None) -> str:
    """The SQL that :func:`run_migrations` would run on this database now. Touches nothing.

    Raises:
        MigrationError: a migration cannot be written as SQL, or the folder is not in order.
    """
    from . import offline as dry_run

    return dry_run.migration_sql(engine, config or service_config())


def get_lock_holder(engine: Engine) -> LockHolder | None:
    """Who migrates now."""
    return lock_for(engine).holder()


def unlock(engine: Engine) -> LockHolder | None:
    """End the session of whoever migrates now; what it was doing is undone.

    Raises:
        MigrationError: this database cannot end another process's session (SQLite).
    """
    return lock_for(engine).end_holder()
