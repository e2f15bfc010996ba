"""The database's schema: brought up to date when the service starts, asked about while it runs."""

import structlog
from sqlalchemy import Engine

from .migrate import get_migration_status, run_migrations
from .migrations import config_for
from .settings import Settings

log = structlog.stdlib.get_logger(__name__)


def bring_up_to_date(engine: Engine, settings: Settings) -> None:
    """Apply all pending migrations.

    Raises:
        MigrationError: a migration failed.
    """
    result = run_migrations(engine, config=config_for(settings)).raise_for_error()
    count = len(result.migrations)
    log.info("Migrated", batch=result.batch, migrations=count, seconds=round(result.duration, 3))


def can_serve(engine: Engine) -> tuple[bool, str | None]:
    """Whether the schema is the one that this version of the service needs, and why not.

    Raises:
        MigrationError: the database does not answer, or the migration files are not in order.
    """
    pending = get_migration_status(engine).pending
    return not pending, f"{len(pending)} migrations are pending" if pending else None
