"""What the engine can do, each in one function. The package itself is its public face."""

from pathlib import Path

from sqlalchemy import Engine

from . import select
from .backends import backend
from .backends.common import check_engine
from .config import MigrationConfig, default_config
from .events import Observer, Several, Silent
from .folder import Folder
from .plan import make_status, read_state
from .replicas import Replica, read_replicas
from .results import (
    CompletedMigration,
    LockHolder,
    MigrationResult,
    MigrationStatus,
    NewMigration,
)
from .runner import downgrade, upgrade
from .runs import MigrationRun, RunState, read_runs
from .scope import Scope
from .stats import MigrationStats, MigrationTime, read_stats
from .timings import without_values

__all__ = [
    "CompletedMigration",
    "LockHolder",
    "MigrationConfig",
    "MigrationResult",
    "MigrationRun",
    "MigrationStats",
    "MigrationStatus",
    "MigrationTime",
    "NewMigration",
    "Observer",
    "Replica",
    "RunState",
    "Scope",
    "Several",
    "Silent",
    "get_lock_holder",
    "get_migration_status",
    "make_migration",
    "make_seed",
    "migrate_down",
    "migrate_up",
    "migration_sql",
    "read_replicas",
    "read_runs",
    "read_stats",
    "rollback_migrations",
    "run_migrations",
    "run_seeds",
    "unlock",
    "without_values",
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
    config = config or default_config()
    return upgrade(engine, config, select.all_pending, allow_changed=allow_changed)


def migrate_up(
    engine: Engine, name: str | None = None, *, config: MigrationConfig | None = None
) -> MigrationResult:
    """Apply the next pending migration as its own batch (knex migrate:up).

    Args:
        name: file name, revision or the name typed at ``make``; it must be the next.
    """
    choice = select.next_pending if name is None else select.pending_called(name)
    return upgrade(engine, config or default_config(), choice)


def migrate_down(
    engine: Engine, name: str | None = None, *, config: MigrationConfig | None = None
) -> MigrationResult:
    """Undo the newest applied migration (knex migrate:down).

    Args:
        name: file name, revision or the name typed at ``make``; it must be the newest applied.
    """
    choice = select.newest if name is None else select.applied_called(name)
    return downgrade(engine, config or default_config(), choice)


def rollback_migrations(
    engine: Engine, *, everything: bool = False, config: MigrationConfig | None = None
) -> MigrationResult:
    """Undo the newest batch, last applied first (knex migrate:rollback).

    Each migration is undone in its own transaction: a rollback that fails keeps what it did and can
    be continued.

    Args:
        everything: undo all batches.
    """
    choice = select.every_batch if everything else select.newest_batch
    return downgrade(engine, config or default_config(), choice)


def get_migration_status(
    engine: Engine, *, config: MigrationConfig | None = None
) -> MigrationStatus:
    """What is completed and what is pending. Writes nothing and takes no lock.

    Raises:
        ActionableError: the database does not answer, or the folder is not in order.
    """
    check_engine(engine, backend.DIALECT, backend.DRIVER)
    config = config or default_config()
    return make_status(Folder(config), read_state(engine, config))


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
        ActionableError: the name cannot be a file name, or the folder is not in order.
    """
    from . import make

    return make.make_migration(engine, config or default_config(), name, empty=empty, merge=merge)


def migration_sql(engine: Engine, *, config: MigrationConfig | None = None) -> str:
    """The SQL that :func:`run_migrations` would run on this database now. Touches nothing.

    Raises:
        ActionableError: a migration cannot be written as SQL, or the folder is not in order.
    """
    from . import offline as dry_run

    return dry_run.migration_sql(engine, config or default_config())


def make_seed(directory: Path, name: str) -> Path:
    """Write a blank seed, numbered one above the last.

    Raises:
        ActionableError: name-unusable, seed-taken.
    """
    from . import seeds

    return seeds.make_seed(directory, name)


def run_seeds(
    engine: Engine, directory: Path, name: str | None = None, *, scope: Scope | None = None
) -> list[str]:
    """Run all seeds in file order, or the one called ``name``, each in one transaction.

    Args:
        scope: whose tables unqualified names mean.

    Returns:
        The names of the seeds that were run.

    Raises:
        ActionableError: seed-unknown, seed-does-not-load, seed-failed.
    """
    from . import seeds

    return seeds.run_seeds(engine, directory, name, scope)


def get_lock_holder(engine: Engine) -> LockHolder | None:
    """Who migrates now.

    Raises:
        ActionableError: the database does not answer.
    """
    check_engine(engine, backend.DIALECT, backend.DRIVER)
    return backend.Lock(engine).holder()


def unlock(engine: Engine) -> LockHolder | None:
    """End the session of whoever migrates now, and the session that runs its statements.

    Raises:
        ActionableError: cannot-end-holder: SQLite cannot end another process's session.
    """
    check_engine(engine, backend.DIALECT, backend.DRIVER)
    return backend.Lock(engine).end_holder()
