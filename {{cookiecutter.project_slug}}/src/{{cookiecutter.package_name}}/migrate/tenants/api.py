"""What the engine can do with tenants, each in one function."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from .. import runner as run
from ..config import MigrationConfig, service_config
from ..folder import check_one_head, load_scripts
from ..plan import Plan, make_plan, make_status, read_stand
from ..results import MigrationError, MigrationResult
from ..transaction import reading
from .bulk import BulkMigration, OnResult, TenantResult
from .registry import Registry, TenantStatus, check_registry, find_tenant
from .scope import TenantScope, refuse_foreign_keys_to_shared, schema_of

if TYPE_CHECKING:
    from alembic.script import Script


@dataclass(frozen=True)
class AllTenantsResult:
    """What happened to the shared schema and to each tenant that was not where it should be."""

    public: MigrationResult
    tenants: tuple[TenantResult, ...] = ()

    @property
    def success(self) -> bool:
        """Whether the shared schema and all tenants are where they should be."""
        return self.public.success and not self.failed

    @property
    def failed(self) -> tuple[TenantResult, ...]:
        """The tenants that are not."""
        return tuple(result for result in self.tenants if not result.success)


def run_tenant_migrations(
    engine: Engine,
    tenant: str,
    *,
    display_name: str | None = None,
    config: MigrationConfig | None = None,
) -> TenantResult:
    """Bring one tenant to head; its schema and its row are made when they are missing.

    Args:
        display_name: the name that a new tenant gets in the registry.

    Raises:
        MigrationError: the id cannot be a tenant's, or the folder is not in order.
    """
    schema_of(tenant)
    config = config or service_config()
    check_registry(engine)
    try:
        make_plan(config, read_stand(engine, config))  # an older service would make it too old
    except MigrationError as error:
        return TenantResult(tenant, success=False, error=error)
    bulk = BulkMigration(engine, config, _head(config), is_upgrade=True)
    return bulk.migrate_one(tenant, display_name=display_name or tenant)


def run_all_tenant_migrations(
    engine: Engine,
    *,
    choose: run.Choice = run.all_pending,
    config: MigrationConfig | None = None,
    allow_changed: bool = False,
    max_failures: int | None = None,
    on_result: OnResult | None = None,
) -> AllTenantsResult:
    """Bring ``public``, then every tenant to head. A tenant that fails does not stop the others.

    Args:
        choose: what to apply to ``public``; the tenants follow to where it is then.
        allow_changed: go on although files changed after they were applied.
        max_failures: stop when so many tenants have failed.
        on_result: called after each tenant with its result and the number of tenants in all.

    Raises:
        MigrationError: the folder is not in order, or another migrator holds the lock.
    """
    config = config or service_config()
    public = run.upgrade(engine, config, choose, allow_changed=allow_changed)
    if not public.success:
        return AllTenantsResult(public)
    target = make_status(config, read_stand(engine, config)).current
    with reading(engine) as connection:
        registry = Registry(connection)
        if not registry.exists() or not registry.count_behind(target):
            return AllTenantsResult(public)  # how a service usually starts; it needs no Alembic
    bulk = BulkMigration(engine, config, target, is_upgrade=True)
    return AllTenantsResult(public, bulk.migrate_all(max_failures, on_result))


def rollback_all_tenants(
    engine: Engine,
    *,
    choose: run.Choice = run.newest_batch,
    config: MigrationConfig | None = None,
    on_result: OnResult | None = None,
) -> AllTenantsResult:
    """Undo what ``choose`` picks in ``public``, and take every tenant to where ``public`` is then.

    The tenants go first: when one of them fails, ``public`` stays, and the same call continues.
    """
    config = config or service_config()
    try:
        plan = make_plan(config, read_stand(engine, config))
        undone = choose(plan)
        tenants = _roll_back_tenants(engine, config, plan, undone, on_result)
    except MigrationError as error:
        return AllTenantsResult(MigrationResult(success=False, error=error))
    if not all(result.success for result in tenants):
        return AllTenantsResult(MigrationResult(success=False, error=_TENANTS_FAILED), tenants)
    return AllTenantsResult(run.downgrade(engine, config, choose), tenants)


def _roll_back_tenants(
    engine: Engine,
    config: MigrationConfig,
    plan: Plan,
    undone: "Sequence[Script]",
    on_result: OnResult | None,
) -> tuple[TenantResult, ...]:
    with reading(engine) as connection:
        registry = Registry(connection)
        if not undone or not registry.exists() or registry.is_empty():
            return ()
    if any(getattr(script.module, "makes_registry", False) for script in undone):
        raise _REGISTRY_NEEDED
    left = [script.revision for script in plan.applied if script not in undone]
    bulk = BulkMigration(engine, config, left[-1] if left else None, is_upgrade=False)
    return bulk.migrate_all(on_result=on_result)


def rollback_tenant(
    engine: Engine,
    tenant: str,
    *,
    choose: run.Choice = run.newest_batch,
    config: MigrationConfig | None = None,
) -> MigrationResult:
    """Undo one tenant's newest batch, or what ``choose`` picks, and nothing else.

    The tenant is behind then, and answers nobody until it is migrated again.

    Raises:
        MigrationError: there is no such tenant.
    """
    config = config or service_config()
    find_tenant(engine, tenant)
    scope = TenantScope(
        tenant,
        _head(config),
        role=config.tenant_roles,
        status_when_not_at_target=TenantStatus.BEHIND,
    )
    return run.downgrade(engine, replace(config, scope=scope), choose)


def for_making(
    engine: Engine, config: MigrationConfig, *, shared: bool, blank: bool = False
) -> MigrationConfig:
    """The configuration with which to make a migration: a tenant is what models are compared with.

    Args:
        shared: the migration is for ``public``.
        blank: nothing will be compared.

    Raises:
        MigrationError: there is no tenant that is ready, or a tenant's table points to ``public``.
    """
    refuse_foreign_keys_to_shared(config.load_metadata())
    if shared:
        return config
    head = _head(config)
    tenant = "any" if blank else _tenant_at(engine, head)
    return replace(config, scope=TenantScope(tenant, head, role=config.tenant_roles))


def _tenant_at(engine: Engine, head: str | None) -> str:
    check_registry(engine)
    with reading(engine) as connection:
        tenant = Registry(connection).find_ready(head)
    if tenant is None:
        raise MigrationError(
            "There is no tenant that is ready, and the models are compared with one.",
            "No file was written.",
            "Make one: tenant create demo. For the shared schema: migrate make NAME --shared",
        )
    return tenant


def _head(config: MigrationConfig) -> str | None:
    scripts = load_scripts(config)
    check_one_head(scripts)
    return scripts.get_current_head()


_REGISTRY_NEEDED = MigrationError(
    "This would undo the migration that makes the registry of tenants, and there are tenants.",
    "Nothing was undone, in no schema.",
    "Undo less: migrate down. Or drop the tenants first: tenant drop ID --yes",
)
_TENANTS_FAILED = MigrationError(
    "Some tenants could not be rolled back.",
    "The shared schema was not touched.",
    "Correct what each of them reports and run it again: migrate rollback",
)
