"""PostgreSQL through psycopg 3."""

from typing import Any

from sqlalchemy import URL, Engine, QueuePool, Uuid, create_engine, text
from sqlalchemy.dialects.postgresql import insert as insert

from ..settings.postgresql import DatabaseSettings

CONNECT_TIMEOUT_SECONDS = 10

UuidType = Uuid

# The database makes the UUID.
NEW_ID: dict[str, Any] = {"server_default": text("gen_random_uuid()")}


def connect(settings: DatabaseSettings, *, migrating: bool = False) -> Engine:
    """An engine for the database that the settings name. Opens no connection yet.

    Outside production, an embedded server starts when they name none.

    Args:
        migrating: whether the engine is for migrations (MIGRATION_DATABASE_URL).

    Raises:
        ActionableError: DATABASE_URL is no PostgreSQL address.
    """
    address = settings.migration_address if migrating else settings.database_address
    return create_engine(
        address or _embedded_server(),
        poolclass=QueuePool,
        pool_size=settings.db_pool_min,
        max_overflow=settings.db_pool_max - settings.db_pool_min,
        pool_pre_ping=True,
        # Prepared statements do not survive PgBouncer's transaction mode.
        connect_args={"prepare_threshold": None, "connect_timeout": CONNECT_TIMEOUT_SECONDS},
    )


def _embedded_server() -> URL:
    from .embedded import start

    return start()
