"""Creates one tenant, migrates it, and rolls it back."""

from dataclasses import replace

from sqlalchemy import Engine

from ...errors import ActionableError
from .. import select
from ..config import MigrationConfig, default_config
from ..folder import CONTRACT, Folder, phase_of
from ..plan import Plan, make_plan, read_state
from ..results import MigrationResult
from ..runner import downgrade
from .backfills import TenantBackfills
from .bulk import BulkMigration
from .listing import check_registry, find_tenant
from .registry import TenantStatus
from .results import TenantResult
from .scope import TenantScope, schema_of


def run_tenant_migrations(
    engine: Engine,
    tenant: str,
    *,
    display_name: str | None = None,
    config: MigrationConfig | None = None,
) -> TenantResult:
    """Migrate one tenant to the head; create its schema and its row if they are missing.

    Args:
        display_name: the name of a new tenant in the registry.
    """
    config = config or default_config()
    try:
        schema_of(tenant)
        check_registry(engine)
        folder = Folder(config)
        # An older release would create a tenant that is too old.
        plan = make_plan(folder, read_state(engine, config))
        bulk = BulkMigration(engine, config, folder, _last_for_tenants(plan), is_upgrade=True)
        bulk.backfills.prepare(engine)
        return bulk.migrate_one(tenant, display_name=display_name or tenant)
    except ActionableError as error:
        return TenantResult(tenant, success=False, error=error)


def rollback_tenant(
    engine: Engine,
    tenant: str,
    *,
    choose: select.Choice = select.newest_batch,
    config: MigrationConfig | None = None,
) -> MigrationResult:
    """Undo one tenant's newest batch, or what ``choose`` picks, and nothing else.

    The tenant is then behind, and is not served until it is migrated again.
    """
    config = config or default_config()
    try:
        find_tenant(engine, tenant)
        folder = Folder(config)
        backfills = TenantBackfills(folder.chain, config.service, is_upgrade=False)
        backfills.prepare(engine)
        scope = TenantScope(
            tenant,
            head_of(folder),
            role=config.tenant_roles,
            version_table=config.version_table,
            status_when_not_at_target=TenantStatus.BEHIND,
            backfills=backfills,
        )
    except ActionableError as error:
        return MigrationResult(success=False, error=error)
    return downgrade(engine, replace(config, scope=scope), choose, folder=folder)


def head_of(folder: Folder) -> str | None:
    """The revision of the last migration, if there is one.

    Raises:
        ActionableError: multiple-heads.
    """
    folder.check_one_head()
    return folder.directory.get_current_head()


def _last_for_tenants(plan: Plan) -> str | None:
    """The last revision for a tenant: the head, or the one before a waiting contract."""
    head = head_of(plan.folder)
    reached = [script.revision for script in plan.applied]
    for script in plan.pending:
        if phase_of(script) == CONTRACT:
            return reached[-1] if reached else None
        reached.append(script.revision)
    return head
