"""The migration engine: Knex's habits on Alembic's engine.

A thin layer that could be lifted out of this service: it knows only what it is handed, an Engine
and a :class:`MigrationConfig`. Functions that change the database never raise for a migration
that failed; they return a :class:`MigrationResult`.
"""

from .api import (
    get_lock_holder,
    get_migration_status,
    make_migration,
    migrate_down,
    migrate_up,
    migration_sql,
    rollback_migrations,
    run_migrations,
    unlock,
)
from .config import MigrationConfig
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
