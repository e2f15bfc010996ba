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
from .marks import shared_only, tenant_only
from .moves import TenantResult
from .registry import TenantRow, count_tenants_behind, list_tenants
from .results import (
    CompletedMigration,
    LockHolder,
    MigrationError,
    MigrationResult,
    MigrationStatus,
    NewMigration,
)
from .tenants import (
    AllTenantsResult,
    rollback_all_tenants,
    rollback_tenant,
    run_all_tenant_migrations,
    run_tenant_migrations,
)
from .upkeep import Finding, audit_tenants, drop_tenant

__all__ = [
    "AllTenantsResult",
    "CompletedMigration",
    "Finding",
    "LockHolder",
    "MigrationConfig",
    "MigrationError",
    "MigrationResult",
    "MigrationStatus",
    "NewMigration",
    "TenantResult",
    "TenantRow",
    "audit_tenants",
    "count_tenants_behind",
    "drop_tenant",
    "get_lock_holder",
    "get_migration_status",
    "list_tenants",
    "make_migration",
    "migrate_down",
    "migrate_up",
    "migration_sql",
    "rollback_all_tenants",
    "rollback_migrations",
    "rollback_tenant",
    "run_all_tenant_migrations",
    "run_migrations",
    "run_tenant_migrations",
    "shared_only",
    "tenant_only",
    "unlock",
]
