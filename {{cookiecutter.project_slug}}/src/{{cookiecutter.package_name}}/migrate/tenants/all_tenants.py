"""Migrates ``public`` and all tenants, and rolls them back."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from ...errors import ActionableError
from .. import select
from ..backends import backend
from ..backfill import read_unfinished
from ..backfilling import fill_after, run_backfills
from ..before_run import OncePerRun
from ..checks.verify import verified
from ..config import MigrationConfig, default_config
from ..errors import schema_differs
from ..folder import Folder
from ..plan import Plan, find_ahead, make_plan, make_status, read_state
from ..results import MigrationResult
from ..runner import downgrade, upgrade
from . import errors
from .bulk import BulkMigration
from .registry import Registry
from .results import AllTenantsResult, OnResult, TenantResult
from .verify import verify_tenants

if TYPE_CHECKING:
    from alembic.script import Script

_NOTHING = MigrationResult(success=True)


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
    migrate = partial(
        _migrate_all,
        engine,
        config,
        allow_changed=allow_changed,
        max_failures=max_failures,
        on_result=on_result,
    )
    result = last = migrate(choose)
    choose_next = choose if choose is select.all_pending else _nothing
    try:
        while fill_after(engine, config, last.public, has_advanced=last.has_advanced):
            last = migrate(choose_next)
            result = result.joined(last)
    except ActionableError as error:
        return result.with_error(error)
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
    public = downgrade(engine, config, choose, folder=folder)
    return _verified(engine, config, AllTenantsResult(verified(engine, config, public), tenants))


def _nothing(_plan: Plan) -> "Sequence[Script]":
    return ()


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
    public = upgrade(engine, config, choose, folder=folder, allow_changed=allow_changed)
    if not public.success or public.ahead:  # a newer release migrates the tenants itself
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
    remaining = [script.revision for script in plan.applied if script not in undone]
    target = remaining[-1] if remaining else None
    bulk = BulkMigration(engine, config, plan.folder, target, is_upgrade=False)
    return bulk.migrate_all(on_result=on_result)


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
        return result.with_error(found.error)
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


def _backed_up_once(config: MigrationConfig) -> MigrationConfig:
    return replace(config, before_run=OncePerRun(config.before_run))
