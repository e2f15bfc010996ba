"""The target of the migrations: the shared schema, then each tenant's schema."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Engine, Select, column, literal_column, select, table

from ..errors import ActionableError
from ..migrate import MigrationConfig, MigrationResult, get_migration_status
from ..migrate.tenants import (
    AllTenantsResult,
    SharedScope,
    TenantLayout,
    TenantResult,
    bring_tenants_along,
    count_by_revision,
    count_tenants_behind,
    fill_tenants,
    run_all_tenant_migrations,
    tenants_without_role,
    verify_tenants,
)
from ..settings import Settings
from ..words import are

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

SCOPE = SharedScope()


def fingerprint(config: MigrationConfig) -> Select[Any]:
    """A query for all values in the database on which :func:`can_serve` depends.

    The files do not change while the service runs. The first column is the revision.
    """
    version = table(config.version_table, column("version_num"), schema="public")
    behind: ColumnElement[int] = literal_column(
        "(SELECT count(*) FROM public.tenants WHERE status <> 'dropping'"
        " AND (status <> 'ready' OR revision IS DISTINCT FROM version_num))"
    )
    return select(version.c.version_num, behind).order_by(version.c.version_num)


def options(settings: Settings) -> dict[str, Any]:
    """Fields of the engine's configuration for this kind of target."""
    return {
        "tenant_roles": settings.tenant_roles,
        "tenants_per_connection": settings.tenants_per_connection,
    }


def apply_pending(engine: Engine, config: MigrationConfig) -> MigrationResult:
    """Apply all pending migrations that are not held back, to the shared schema and to each tenant.

    The result is the shared schema's; it has an error if a tenant failed.
    """
    run = run_all_tenant_migrations(engine, config=config)
    if run.public.success and run.failed:
        return replace(run.public, success=False, error=run.failed[0].error)
    return run.public


def backup_options(settings: Settings) -> dict[str, Any]:
    """Fields of the backups' options for this kind of target."""
    return {"layout": TenantLayout(each=settings.backs_up_each_tenant)}


def bring_up_to_date(engine: Engine, config: MigrationConfig) -> None:
    """Apply all pending migrations to the shared schema, then to each tenant's.

    A failed tenant is logged and answers 503; the others are served.

    Raises:
        ActionableError: a migration of the shared schema failed.
    """
    run = run_all_tenant_migrations(engine, config=config)
    public = run.public.raise_for_error()
    _log().info(
        "Migrated",
        batch=public.batch,
        migrations=len(public.migrations),
        tenants=len(run.tenants),
        failed=len(run.failed),
        seconds=round(public.duration + sum(result.duration for result in run.tenants), 3),
    )
    _tell_held_back(public)
    _tell_failed(run)


def fill(engine: Engine, config: MigrationConfig, stopped: Callable[[], bool]) -> None:
    """Run backfills until they are finished or ``stopped`` returns true.

    Then migrate the tenants that waited for them.

    Raises:
        ActionableError: a chunk failed, or the database does not answer.
    """
    if run := fill_tenants(engine, config=config, stopped=stopped):
        run.public.raise_for_error()
        _tell_failed(run)


def _tell_failed(run: AllTenantsResult) -> None:
    for result in run.failed:
        _tell_one_failed(result)


def bring_along(engine: Engine, config: MigrationConfig) -> None:
    """Migrate tenants that an older release created after this release had migrated the others.

    Does nothing while another process migrates, because that process does it.

    Raises:
        ActionableError: the database does not answer, or the folder is not in order.
    """
    try:
        results = bring_tenants_along(engine, config=config)
    except ActionableError as error:
        if error.code != "lock-timeout":
            raise
        return
    for result in results:
        if result.success:
            _log().info("A tenant that was behind was migrated", tenant=result.tenant)
        else:
            _tell_one_failed(result)


# The repeated tasks of a running instance, by name.
REPEATED: Mapping[str, Callable[[Engine, MigrationConfig], None]] = {"tenants": bring_along}


def _tell_one_failed(result: TenantResult) -> None:
    _log().error("A tenant could not be migrated", tenant=result.tenant, reason=str(result.error))


def _tell_held_back(result: MigrationResult) -> None:
    if result.held_back:
        _log().warning("Held back", migrations=result.held_back, by=result.held_by)


def look_at_start(engine: Engine, config: MigrationConfig) -> None:
    """Log missing roles: such tenants are not served although nothing is pending.

    Raises:
        ActionableError: the database does not answer.
    """
    lacking = tenants_without_role(engine) if config.tenant_roles else []
    if lacking:
        _log().error(
            "Tenants have no database role, or their role does not own all their objects",
            tenants=len(lacking),
            first=lacking[0],
            impact="Their requests are answered 503.",
            solution="tenant roles",
        )


def count_tenants(engine: Engine) -> list[tuple[str | None, str, int]] | None:
    """Revision, state, and the number of tenants with both; None if there is no registry yet.

    Raises:
        ActionableError: the database does not answer.
    """
    try:
        return count_by_revision(engine)
    except ActionableError as error:
        if error.code != "no-registry":
            raise
        return None


def compare_tenants(engine: Engine, config: MigrationConfig) -> tuple[int, int, int] | None:
    """The numbers of tenants' schemas that were compared, that differ, and that were left out.

    Tenants with another revision than ``public`` are left out. None if there is no registry yet.

    Raises:
        ActionableError: nothing could be compared.
    """
    found = verify_tenants(engine, config=config)
    if found.error is None:
        return found.compared, len(found.drifted), len(found.not_compared)
    if found.error.code != "no-registry":
        raise found.error
    return None


def can_serve(engine: Engine, config: MigrationConfig) -> tuple[bool, str | None]:
    """Whether the shared schema is the one that this version of the service needs, with the reason.

    Tenants that are behind are counted but do not affect readiness. A tenant whose migration
    failed answers 503; one that waits for its migration is still served.

    Raises:
        ActionableError: the database does not answer, or the migration files are not in order.
    """
    status = get_migration_status(engine, config=config)
    if status.unknown_contracts and status.problem:
        return False, status.problem.problem
    if status.needed:
        return False, are(len(status.needed), "migration", "pending")
    behind = count_tenants_behind(engine, status.current)
    return True, are(behind, "tenant", "behind") if behind else None


def _log() -> "BoundLogger":
    import structlog  # Slow to import, and commands do not log.

    logger: BoundLogger = structlog.stdlib.get_logger(__name__)
    return logger
