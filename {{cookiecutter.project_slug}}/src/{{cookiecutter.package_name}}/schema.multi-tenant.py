"""The database's schemas: brought up to date when the service starts, asked about while it runs."""

import structlog
from sqlalchemy import Engine

from .migrate import count_tenants_behind, get_migration_status, run_all_tenant_migrations
from .migrations import config_for
from .settings import Settings

log = structlog.stdlib.get_logger(__name__)


def bring_up_to_date(engine: Engine, settings: Settings) -> None:
    """Apply all pending migrations to the shared schema, then to each tenant's.

    A tenant that fails is logged and answers 503; it does not keep the others from being served.

    Raises:
        MigrationError: a migration of the shared schema failed.
    """
    run = run_all_tenant_migrations(engine, config=config_for(settings))
    public = run.public.raise_for_error()
    log.info(
        "Migrated",
        batch=public.batch,
        migrations=len(public.migrations),
        tenants=len(run.tenants),
        failed=len(run.failed),
        seconds=round(public.duration + sum(result.duration for result in run.tenants), 3),
    )
    for result in run.failed:
        log.error("A tenant could not be migrated", tenant=result.tenant, reason=str(result.error))


def can_serve(engine: Engine) -> tuple[bool, str | None]:
    """Whether the shared schema is the one that this version of the service needs, and why not.

    Tenants that are behind are counted; they keep nobody from the others. One whose migration
    failed answers 503 itself, one that waits for its turn is still served.

    Raises:
        MigrationError: the database does not answer, or the migration files are not in order.
    """
    status = get_migration_status(engine)
    if status.pending:
        return False, f"{len(status.pending)} migrations are pending"
    behind = count_tenants_behind(engine, status.current)
    return True, f"{behind} tenants are behind" if behind else None
