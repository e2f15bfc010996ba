"""Tenants: one PostgreSQL schema each, all at the revision of ``public``.

``public.tenants`` is the registry. Each schema keeps its own ``alembic_version`` and
``migration_history``, written in the transaction that also updates the registry's row.

A tenant is created by its first migration: ``one_tenant`` runs it, and ``scope`` creates the schema
and the row in the same transaction.

Belongs here: the engine's code for many schemas. May import: ``migrate``'s modules. Imported by:
``migrate``, ``migrations.target``, ``web.request_tenant``, ``operations``, ``tenants``, ``cli``; they
import names only from this package.
"""

from ..select import (
    applied_called,
    every_batch,
    newest,
    newest_batch,
    next_pending,
    pending_called,
)
from .all_tenants import (
    bring_tenants_along,
    fill_tenants,
    rollback_all_tenants,
    run_all_tenant_migrations,
)
from .audit import Finding, audit_tenants
from .backup import TenantLayout, create_tenant_backup, restore_tenant
from .baseline import TenantsTakenOver, take_over_tenants
from .drop import drop_tenant
from .listing import count_by_revision, count_tenants_behind, find_tenant, list_tenants
from .making import config_for_making
from .one_tenant import rollback_tenant, run_tenant_migrations
from .registry import TenantRow, TenantStatus
from .results import AllTenantsResult, TenantResult
from .roles import make_tenant_roles, tenants_without_role
from .scope import SharedScope, TenantScope, schema_of
from .verify import TenantDrift, TenantsVerified, verify_tenants

__all__ = [
    "AllTenantsResult",
    "Finding",
    "SharedScope",
    "TenantDrift",
    "TenantLayout",
    "TenantResult",
    "TenantRow",
    "TenantScope",
    "TenantStatus",
    "TenantsTakenOver",
    "TenantsVerified",
    "applied_called",
    "audit_tenants",
    "bring_tenants_along",
    "config_for_making",
    "count_by_revision",
    "count_tenants_behind",
    "create_tenant_backup",
    "drop_tenant",
    "every_batch",
    "fill_tenants",
    "find_tenant",
    "list_tenants",
    "make_tenant_roles",
    "newest",
    "newest_batch",
    "next_pending",
    "pending_called",
    "restore_tenant",
    "rollback_all_tenants",
    "rollback_tenant",
    "run_all_tenant_migrations",
    "run_tenant_migrations",
    "schema_of",
    "take_over_tenants",
    "tenants_without_role",
    "verify_tenants",
]
