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
from ..backfilling import fill_after, fill_applied
from ..before_run import OncePerRun
from ..checks.verify import verified
from ..config import MigrationConfig, default_config
from ..errors import schema_differs
from ..folder import Folder
from ..plan import Plan, find_ahead, make_plan, make_status, read_state
from ..results import MigrationResult
from ..runner import downgrade, upgrade
from . import errors
from .bulk import BulkMigration, BulkResult
from .registry import Registry
from .results import AllTenantsResult, TenantResult
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
) -> AllTenantsResult:
    """Migrate ``public``, then every tenant to the head. A failed tenant does not stop the others.

    Backfills run afterwards, when others may migrate again; then the migrations that waited for
    them are applied.

    Args:
        choose: picks the migrations for ``public``; the tenants follow to its revision.
        allow_changed: continue although applied files were edited.
        max_failures: stop after this number of failed tenants.
    """
    config = _backed_up_once(config or default_config())
    folder = Folder(config)
    migrate = partial(
        _migrate_all, engine, config, allow_changed=allow_changed, max_failures=max_failures
    )
    result = last = migrate(folder, choose)
    choose_next = choose if choose is select.all_pending else _nothing
    try:
        while fill_after(
            engine, config, last.public, has_advanced=last.has_advanced, folder=folder
        ):
            folder = folder.as_it_is_now()  # the backfill may have taken hours
            last = migrate(folder, choose_next)
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
        The results of the tenants that waited, or the error that stopped a backfill; None if work
        is left or there was none.
    """
    config = _backed_up_once(config or default_config())
    folder = Folder(config)
    try:
        if not read_unfinished(engine, config):
            return None
        if fill_applied(engine, config, stopped=stopped, folder=folder):
            return None
    except ActionableError as error:
        return AllTenantsResult(_NOTHING).with_error(error)
    return _migrate_all(engine, config, folder.as_it_is_now(), _nothing)


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
    run = bulk.migrate_all(only=set(tenants) - bulk.backfills.unfinished(engine))
    if run.error is not None:
        raise run.error
    return _verified(engine, config, folder, AllTenantsResult(_NOTHING, run.tenants)).tenants


def rollback_all_tenants(
    engine: Engine,
    *,
    choose: select.Choice = select.newest_batch,
    config: MigrationConfig | None = None,
) -> AllTenantsResult:
    """Undo what ``choose`` picks in ``public``, and roll every tenant back to the same revision.

    The tenants go first: if one of them fails, ``public`` is not changed, and the same call
    continues.
    """
    config = _backed_up_once(config or default_config())
    try:
        folder = Folder(config)
        plan = make_plan(folder, read_state(engine, config))
        tenants, error = _roll_back_tenants(engine, config, plan, choose(plan))
    except ActionableError as problem:
        tenants, error = (), problem
    if error is None and not all(result.success for result in tenants):
        error = errors.tenants_failed()
    if error is not None:
        return AllTenantsResult(_NOTHING, tenants).with_error(error)
    public = downgrade(engine, config, choose, folder=folder)
    public = verified(engine, config, public, folder=folder)
    return _verified(engine, config, folder, AllTenantsResult(public, tenants))


def _nothing(_plan: Plan) -> "Sequence[Script]":
    return ()


def _migrate_all(
    engine: Engine,
    config: MigrationConfig,
    folder: Folder,
    choose: select.Choice,
    *,
    allow_changed: bool = False,
    max_failures: int | None = None,
) -> AllTenantsResult:
    """Migrate the shared schema, then each tenant's; without backfills."""
    public = upgrade(engine, config, choose, folder=folder, allow_changed=allow_changed)
    if not public.success or public.ahead:  # a newer release migrates the tenants itself
        return AllTenantsResult(public)
    public = verified(engine, config, public, folder=folder)
    try:
        return _migrate_tenants(engine, config, folder, public, max_failures)
    except ActionableError as error:
        return AllTenantsResult(public).with_error(error)


def _migrate_tenants(
    engine: Engine,
    config: MigrationConfig,
    folder: Folder,
    public: MigrationResult,
    max_failures: int | None,
) -> AllTenantsResult:
    """Migrate each tenant to the revision of ``public``, whose own run is done."""
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
    run = bulk.migrate_all(max_failures)
    result = AllTenantsResult(public, run.tenants)
    if run.error is not None:
        return result.with_error(run.error)
    return _verified(engine, config, folder, result)


def _roll_back_tenants(
    engine: Engine, config: MigrationConfig, plan: Plan, undone: "Sequence[Script]"
) -> BulkResult:
    with backend.reading(engine) as connection:
        registry = Registry(connection)
        if not undone or not registry.exists() or registry.is_empty():
            return BulkResult(())
    if any(getattr(script.module, "makes_registry", False) for script in undone):
        return BulkResult((), errors.registry_needed())
    remaining = [script.revision for script in plan.applied if script not in undone]
    target = remaining[-1] if remaining else None
    bulk = BulkMigration(engine, config, plan.folder, target, is_upgrade=False)
    return bulk.migrate_all()


def _verified(
    engine: Engine, config: MigrationConfig, folder: Folder, result: AllTenantsResult
) -> AllTenantsResult:
    """A run's result; a tenant whose schema differs counts as failed (MIGRATION_VERIFY)."""
    ids = [one.tenant for one in result.tenants if one.success]
    if config.verify == "off" or not ids:
        return result
    # Among them are the canaries, which went through Alembic.
    alike = config.verify == "tenants"
    found = verify_tenants(engine, ids, alike=alike, config=config, folder=folder)
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
