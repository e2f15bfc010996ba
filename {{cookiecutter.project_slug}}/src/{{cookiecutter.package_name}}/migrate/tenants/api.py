"""The engine's functions for tenants."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from ...errors import ActionableError
from .. import runner as run
from .. import select
from ..backends import backend
from ..backfill import read_unfinished
from ..backfilling import joined, run_backfills
from ..before_run import OncePerRun
from ..checks.verify import verified
from ..config import MigrationConfig, default_config
from ..errors import schema_differs
from ..folder import CONTRACT, Folder, phase_of
from ..plan import Plan, find_ahead, make_plan, make_status, read_state
from ..results import MigrationResult
from . import errors
from .backfills import TenantBackfills
from .bulk import BulkMigration, OnResult, TenantResult
from .registry import Registry, TenantStatus, check_registry, find_tenant
from .scope import TenantScope, refuse_foreign_keys_to_shared, schema_of
from .verify import verify_tenants

if TYPE_CHECKING:
    from alembic.script import Script


_NOTHING = MigrationResult(success=True)


@dataclass(frozen=True)
class AllTenantsResult:
    """The results of the shared schema and of each tenant that was not at the target."""

    public: MigrationResult
    tenants: tuple[TenantResult, ...] = ()

    @property
    def success(self) -> bool:
        """Whether the shared schema and all tenants are at the target."""
        return self.public.success and not self.failed

    @property
    def has_advanced(self) -> bool:
        """Whether anything was migrated."""
        return bool(self.public.migrations) or any(one.migrations for one in self.tenants)

    @property
    def failed(self) -> tuple[TenantResult, ...]:
        """The tenants that failed."""
        return tuple(result for result in self.tenants if not result.success)


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

    Raises:
        ActionableError: the id is invalid, or the folder has errors.
    """
    schema_of(tenant)
    config = config or default_config()
    check_registry(engine)
    folder = Folder(config)
    try:
        # An older release would create a tenant that is too old.
        plan = make_plan(folder, read_state(engine, config))
    except ActionableError as error:
        return TenantResult(tenant, success=False, error=error)
    bulk = BulkMigration(engine, config, folder, _target(plan), is_upgrade=True)
    bulk.backfills.prepare(engine)
    return bulk.migrate_one(tenant, display_name=display_name or tenant)


def run_all_tenant_migrations(
    engine: Engine,
    *,
    choose: select.Choice = select.all_pending,
    config: MigrationConfig | None = None,
    allow_changed: bool = False,
    max_failures: int | None = None,
    on_result: OnResult | None = None,
) -> AllTenantsResult:
    """Migrate ``public``, then every tenant to the head. A failed tenant does not stop the others.

    Backfills run afterwards, when others may migrate again; then the migrations that waited for
    them are applied.

    Args:
        choose: picks the migrations for ``public``; the tenants follow to its revision.
        allow_changed: continue although applied files were edited.
        max_failures: stop after this number of failed tenants.
        on_result: called after each tenant with its result and the total number of tenants.

    Raises:
        ActionableError: the folder has errors, or another migrator holds the lock.
    """
    config = _backed_up_once(config or default_config())

    def migrate(choose: select.Choice) -> AllTenantsResult:
        return _migrate_all(
            engine,
            config,
            choose,
            allow_changed=allow_changed,
            max_failures=max_failures,
            on_result=on_result,
        )

    result = last = migrate(choose)
    follow = choose if choose is select.all_pending else _nothing
    try:
        while _has_filled(engine, config, last):
            last = migrate(follow)
            result = _joined(result, last)
    except ActionableError as error:
        return replace(result, public=replace(result.public, success=False, error=error))
    return result


def fill_tenants(
    engine: Engine,
    *,
    config: MigrationConfig | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> AllTenantsResult | None:
    """Run backfills. When they are finished, migrate the tenants that waited for them.

    ``public`` is not migrated, since its contracts have their own gate.

    Args:
        stopped: called before each chunk; if it returns true, the rest stays for later.

    Returns:
        The results of the tenants that waited; None if work is left or there was none.

    Raises:
        ActionableError: as :func:`run_backfills`.
    """
    config = _backed_up_once(config or default_config())
    if not read_unfinished(engine, config) or run_backfills(engine, config, stopped=stopped):
        return None
    return _migrate_all(engine, config, _nothing)


def _nothing(_plan: Plan) -> "Sequence[Script]":
    return ()


def _has_filled(engine: Engine, config: MigrationConfig, result: AllTenantsResult) -> bool:
    """Run the backfills after a run. Returns whether waiting migrations may continue now."""
    if not (result.public.success and result.public.has_backfills):
        return False
    before = left = read_unfinished(engine, config)
    if before and config.runs_backfills:
        left = run_backfills(engine, config)
    return not left and bool(before or (result.has_advanced and result.public.held_back))


def _joined(first: AllTenantsResult, second: AllTenantsResult) -> AllTenantsResult:
    """Two runs as one; for a tenant in both, the final result."""
    tenants = {one.tenant: one for one in first.tenants}
    for one in second.tenants:
        former = tenants.get(one.tenant)
        migrations = (*former.migrations, *one.migrations) if former else one.migrations
        tenants[one.tenant] = replace(one, migrations=migrations)
    return AllTenantsResult(joined(first.public, second.public), tuple(tenants.values()))


def _migrate_all(
    engine: Engine,
    config: MigrationConfig,
    choose: select.Choice,
    *,
    allow_changed: bool = False,
    max_failures: int | None = None,
    on_result: OnResult | None = None,
) -> AllTenantsResult:
    """Migrate the shared schema, then each tenant's; without backfills."""
    folder = Folder(config)
    public = run.upgrade(engine, config, choose, folder=folder, allow_changed=allow_changed)
    if not public.success:
        return AllTenantsResult(public)
    if public.ahead:  # the newer release migrates the tenants to public's revision
        return AllTenantsResult(public)
    public = verified(engine, config, public)
    target = make_status(folder, read_state(engine, config)).current
    with backend.reading(engine) as connection:
        registry = Registry(connection)
        if not registry.exists():
            return AllTenantsResult(public)
        # The usual start of a service; it needs no Alembic.
        is_idle = not public.migrations and not registry.count_behind(target)
    if is_idle:
        return AllTenantsResult(public)
    bulk = BulkMigration(engine, config, folder, target, is_upgrade=True)
    results = bulk.migrate_all(max_failures, on_result)
    return _verified(engine, config, AllTenantsResult(public, results))


def bring_tenants_along(
    engine: Engine, *, config: MigrationConfig | None = None
) -> tuple[TenantResult, ...]:
    """Migrate tenants that are served at an older revision to the revision of ``public``.

    Release 0.1.0 can create such a tenant while a newer one is rolled out, and a killed run leaves
    some. Tenants that failed or were rolled back separately need a person.

    Raises:
        ActionableError: another migrator holds the lock, for which this does not wait; the folder
            has errors; or the database does not answer.
    """
    config = replace(_backed_up_once(config or default_config()), lock_timeout=0)
    with backend.reading(engine) as connection:
        registry = Registry(connection)
        tenants = registry.left_behind(config.version_table) if registry.exists() else []
    if not tenants:
        return ()
    folder = Folder(config)
    state = read_state(engine, config)
    if find_ahead(folder, state):  # the newer release migrates them
        return ()
    target = make_status(folder, state).current
    bulk = BulkMigration(engine, config, folder, target, is_upgrade=True)
    # A tenant that waits for a backfill is at its target.
    results = bulk.migrate_all(only=set(tenants) - bulk.backfills.unfinished(engine))
    return _verified(engine, config, AllTenantsResult(_NOTHING, results)).tenants


def rollback_all_tenants(
    engine: Engine,
    *,
    choose: select.Choice = select.newest_batch,
    config: MigrationConfig | None = None,
    on_result: OnResult | None = None,
) -> AllTenantsResult:
    """Undo what ``choose`` picks in ``public``, and roll every tenant back to the same revision.

    The tenants go first: if one of them fails, ``public`` is not changed, and the same call
    continues.
    """
    config = _backed_up_once(config or default_config())
    try:
        folder = Folder(config)
        plan = make_plan(folder, read_state(engine, config))
        undone = choose(plan)
        tenants = _roll_back_tenants(engine, config, plan, undone, on_result)
    except ActionableError as error:
        return AllTenantsResult(MigrationResult(success=False, error=error))
    if not all(result.success for result in tenants):
        return AllTenantsResult(
            MigrationResult(success=False, error=errors.tenants_failed()), tenants
        )
    public = run.downgrade(engine, config, choose, folder=folder)
    return _verified(engine, config, AllTenantsResult(verified(engine, config, public), tenants))


def _verified(
    engine: Engine, config: MigrationConfig, result: AllTenantsResult
) -> AllTenantsResult:
    """A run's result; a tenant whose schema differs counts as failed (MIGRATION_VERIFY)."""
    ids = [one.tenant for one in result.tenants if one.success]
    if config.verify == "off" or not ids:
        return result
    # Among them are the canaries, which went through Alembic.
    found = verify_tenants(engine, ids, alike=config.verify == "tenants", config=config)
    if found.error is not None:
        return replace(result, public=replace(result.public, success=False, error=found.error))
    failures = {
        one.tenant: schema_differs(
            [difference.sentence for difference in one.differences],
            see=f"tenant verify {one.tenant}",
        )
        for one in found.drifted
    }
    tenants = (
        replace(one, success=False, error=failures[one.tenant]) if one.tenant in failures else one
        for one in result.tenants
    )
    return replace(result, tenants=tuple(tenants))


def _roll_back_tenants(
    engine: Engine,
    config: MigrationConfig,
    plan: Plan,
    undone: "Sequence[Script]",
    on_result: OnResult | None,
) -> tuple[TenantResult, ...]:
    with backend.reading(engine) as connection:
        registry = Registry(connection)
        if not undone or not registry.exists() or registry.is_empty():
            return ()
    if any(getattr(script.module, "makes_registry", False) for script in undone):
        raise errors.registry_needed()
    left = [script.revision for script in plan.applied if script not in undone]
    target = left[-1] if left else None
    bulk = BulkMigration(engine, config, plan.folder, target, is_upgrade=False)
    return bulk.migrate_all(on_result=on_result)


def rollback_tenant(
    engine: Engine,
    tenant: str,
    *,
    choose: select.Choice = select.newest_batch,
    config: MigrationConfig | None = None,
) -> MigrationResult:
    """Undo one tenant's newest batch, or what ``choose`` picks, and nothing else.

    The tenant is then behind, and is not served until it is migrated again.

    Raises:
        ActionableError: there is no such tenant.
    """
    config = config or default_config()
    find_tenant(engine, tenant)
    folder = Folder(config)
    backfills = TenantBackfills(folder.chain, config.service, is_upgrade=False)
    backfills.prepare(engine)
    scope = TenantScope(
        tenant,
        _head(folder),
        role=config.tenant_roles,
        version_table=config.version_table,
        status_when_not_at_target=TenantStatus.BEHIND,
        backfills=backfills,
    )
    return run.downgrade(engine, replace(config, scope=scope), choose)


def for_making(
    engine: Engine, config: MigrationConfig, *, shared: bool, blank: bool = False
) -> MigrationConfig:
    """The configuration for making a migration: models are compared with a tenant's schema.

    Args:
        shared: the migration is for ``public``.
        blank: nothing will be compared.

    Raises:
        ActionableError: no tenant is ready, or a tenant's table refers to ``public``.
    """
    refuse_foreign_keys_to_shared(config.load_metadata())
    if shared:
        return config
    head = _head(Folder(config))
    tenant = "any" if blank else _tenant_at(engine, head)
    scope = TenantScope(tenant, head, role=config.tenant_roles, version_table=config.version_table)
    return replace(config, scope=scope)


def _tenant_at(engine: Engine, head: str | None) -> str:
    check_registry(engine)
    with backend.reading(engine) as connection:
        tenant = Registry(connection).find_ready(head)
    if tenant is None:
        raise errors.no_ready_tenant()
    return tenant


def _target(plan: Plan) -> str | None:
    """The last revision for a tenant: the head, or the one before a waiting contract."""
    head = _head(plan.folder)
    reached = [script.revision for script in plan.applied]
    for script in plan.pending:
        if phase_of(script) == CONTRACT:
            return reached[-1] if reached else None
        reached.append(script.revision)
    return head


def _backed_up_once(config: MigrationConfig) -> MigrationConfig:
    return replace(config, before_run=OncePerRun(config.before_run))


def _head(folder: Folder) -> str | None:
    folder.check_one_head()
    return folder.directory.get_current_head()
