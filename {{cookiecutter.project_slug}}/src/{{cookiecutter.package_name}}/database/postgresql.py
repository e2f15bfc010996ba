"""PostgreSQL through psycopg 3."""

import time
from typing import Any

import psycopg
from sqlalchemy import (
    URL,
    Engine,
    ExceptionContext,
    QueuePool,
    Uuid,
    create_engine,
    event,
    exc,
    text,
)
from sqlalchemy.dialects.postgresql import insert as insert
from sqlalchemy.pool import ConnectionPoolEntry

from ..settings.postgresql import DatabaseSettings

CONNECT_TIMEOUT_SECONDS = 5
POOL_TIMEOUT_SECONDS = 10
TRUSTED_SECONDS = 1.0  # a connection that answered so lately is not asked whether it still does

READ_ONLY_SQL_TRANSACTION = "25006"  # a standby took over, or this one stepped down

UuidType = Uuid

# The database makes the UUID.
NEW_ID: dict[str, Any] = {"server_default": text("gen_random_uuid()")}

# One statement is a transaction of its own: without BEGIN and COMMIT, a round trip in place of three.
LOOK_UP: dict[str, Any] = {"isolation_level": "AUTOCOMMIT"}


def connect(settings: DatabaseSettings) -> Engine:
    """An engine for the database that the settings name. Opens no connection yet.

    Outside production, an embedded server starts when they name none.

    Raises:
        ActionableError: DATABASE_URL is no PostgreSQL address.
    """
    engine = create_engine(
        settings.database_address or _embedded_server(),
        poolclass=QueuePool,
        pool_size=settings.db_pool_min,
        max_overflow=settings.db_pool_max - settings.db_pool_min,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        hide_parameters=True,  # an error that reaches the log must not bring them along
        # Prepared statements do not survive PgBouncer's transaction mode.
        connect_args={"prepare_threshold": None, "connect_timeout": CONNECT_TIMEOUT_SECONDS},
    )
    event.listen(engine, "checkin", _note_the_time)
    event.listen(engine, "checkout", _ask_if_idle)
    event.listen(engine, "handle_error", _keep_values_out)
    return engine


def is_away(error: Exception) -> bool:
    """Whether the database is away or overloaded, so that trying again later may help."""
    if isinstance(error, exc.TimeoutError):  # every connection of the pool stayed in use
        return True
    if not isinstance(error, exc.DBAPIError):
        return False
    return (
        error.connection_invalidated
        or isinstance(error, exc.OperationalError | exc.InterfaceError)
        or getattr(error.orig, "sqlstate", None) == READ_ONLY_SQL_TRANSACTION
    )


def _note_the_time(_connection: object, record: ConnectionPoolEntry) -> None:
    record.info["returned"] = time.monotonic()


def _ask_if_idle(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
    # As pool_pre_ping does, which asks at every checkout: a round trip for each transaction.
    if time.monotonic() - record.info.get("returned", time.monotonic()) < TRUSTED_SECONDS:
        return
    try:
        connection.autocommit = True
        connection.execute("")
        connection.autocommit = False
    except psycopg.Error as error:
        raise exc.InvalidatePoolError() from error


def _keep_values_out(context: ExceptionContext) -> None:
    # The server repeats a row that broke a rule: "DETAIL: Failing row contains (…)".
    error = context.original_exception
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        said = f"{error.diag.severity}: {error.diag.message_primary}"
        error.args = (said,)
        if context.sqlalchemy_exception is not None:
            context.sqlalchemy_exception.args = (
                f"({type(error).__module__}.{type(error).__qualname__}) {said}",
            )


def _embedded_server() -> URL:
    from .embedded import start

    return start()
