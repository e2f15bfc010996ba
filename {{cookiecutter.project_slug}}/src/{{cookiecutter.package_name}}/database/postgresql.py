"""PostgreSQL through psycopg 3."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.rows import tuple_row
from sqlalchemy import (
    URL,
    Dialect,
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
from sqlalchemy.pool import ConnectionPoolEntry, PoolResetState

from ..errors import without_value
from ..settings.postgresql import DatabaseSettings
from .abandoned import return_once

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_SECONDS = 5
POOL_TIMEOUT_SECONDS = 10
# A firewall drops idle connections without telling anybody, and so does a machine without power.
# The probes keep the connection alive; without an answer it fails within a minute (Linux: two
# hours). https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-KEEPALIVES-IDLE
NOTICE_SILENCE = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # milliseconds
}
LOOKED_UP = "looked_up"
TRUSTED_SECONDS = 1.0  # a connection that answered within this time is not checked again

READ_ONLY_SQL_TRANSACTION = "25006"  # the server became a standby, or the client reached one

UuidType = Uuid

# The database generates the UUID.
NEW_ID: dict[str, Any] = {"server_default": text("gen_random_uuid()")}

# Each statement is a transaction: without BEGIN and COMMIT, one round trip instead of three.
LOOK_UP: dict[str, Any] = {"isolation_level": "AUTOCOMMIT"}


def connect(settings: DatabaseSettings, *, migrating: bool = False) -> Engine:
    """An engine for the database of the settings. It opens no connection yet.

    Outside production, an embedded server starts if the settings name no database.

    A connection from the pool is like a new one: when it is returned, ``DISCARD ALL`` removes
    temporary tables, settings, cursors, prepared statements, LISTEN and advisory locks. This is
    one round trip: 0.05 ms, while a transaction of three small queries takes 1.1 ms. Behind a
    pooler in transaction mode it may reach another server connection than the one that was used, so
    it is left out; a tenant's transactions then begin with the same, and end with it if they may
    leave something (``database.tenant_guard``).

    Args:
        migrating: whether the engine is for migrations (MIGRATION_DATABASE_URL).

    Raises:
        ActionableError: DATABASE_URL is not a PostgreSQL URL.
    """
    named = settings.migration_address if migrating else settings.database_address
    address = named or _embedded_server()
    engine = create_engine(
        address,
        poolclass=QueuePool,
        pool_size=settings.kept_connections,
        max_overflow=settings.db_pool_max - settings.kept_connections,
        pool_use_lifo=True,  # a connection that was just used needs no check
        pool_timeout=POOL_TIMEOUT_SECONDS,
        pool_reset_on_return=None,  # _reset does it
        hide_parameters=True,  # so that an error in the log contains no parameters
        connect_args={
            "prepare_threshold": None,  # prepared statements fail in PgBouncer's transaction mode
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            **{name: value for name, value in NOTICE_SILENCE.items() if name not in address.query},
        },
    )
    if settings.default_search_path is not None and not migrating:
        _set_default_path(engine, settings.default_search_path)
    event.listen(engine, "engine_connect", return_once)
    event.listen(engine, "connect", _note_pooler)
    event.listen(engine, "reset", _reset)
    event.listen(engine, "checkin", _note_the_time)
    event.listen(engine, "checkout", _ask_if_idle)
    event.listen(engine, "handle_error", _keep_values_out)
    return engine


@contextmanager
def for_migrations(engine: Engine, settings: DatabaseSettings) -> Iterator[Engine]:
    """The engine for migrations: this one, or one for MIGRATION_DATABASE_URL if that differs.

    Raises:
        ActionableError: MIGRATION_DATABASE_URL is not a PostgreSQL URL.
    """
    if settings.migration_address == settings.database_address:
        yield engine
        return
    direct = connect(settings, migrating=True)
    try:
        yield direct
    finally:
        direct.dispose()


def _note_pooler(raw: Any, entry: ConnectionPoolEntry) -> None:
    """Note in ``info["is_pooled"]`` whether a pooler shares the server connection with others.

    A pooler cannot know the process id of a server connection that it has not chosen yet.
    """
    pid = raw.execute("SELECT pg_backend_pid()").fetchone()[0]
    entry.info["is_pooled"] = pid != raw.info.backend_pid
    raw.rollback()


def _reset(raw: Any, entry: ConnectionPoolEntry, state: PoolResetState) -> None:
    if state.terminate_only:
        return
    raw.rollback()
    raw.isolation_level = raw.read_only = raw.deferrable = None  # attributes of the driver
    raw.row_factory = tuple_row
    if entry.info.pop(LOOKED_UP, False):  # one reading statement leaves nothing behind
        return
    if not entry.info["is_pooled"]:
        raw.autocommit = True
        raw.execute("DISCARD ALL")
    raw.autocommit = False


def is_away(error: Exception) -> bool:
    """Whether the database is unreachable or overloaded, so that a later retry may help."""
    if isinstance(error, exc.TimeoutError):  # all connections of the pool were in use
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
    # As pool_pre_ping, which checks at every checkout: a round trip for each transaction.
    if time.monotonic() - record.info.get("returned", time.monotonic()) < TRUSTED_SECONDS:
        return
    try:
        connection.autocommit = True
        connection.execute("")
        connection.autocommit = False
    except psycopg.Error as error:
        raise exc.InvalidatePoolError() from error


def _keep_values_out(context: ExceptionContext) -> None:
    # The server's message repeats the row that violates a constraint: "DETAIL: Failing row contains
    # (…)".
    error = context.original_exception
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        message = without_value(f"{error.diag.severity}: {error.diag.message_primary}", error)
        error.args = (message,)
        if context.sqlalchemy_exception is not None:
            context.sqlalchemy_exception.args = (
                f"({type(error).__module__}.{type(error).__qualname__}) {message}",
            )


def _set_default_path(engine: Engine, path: str) -> None:
    """Give connections this ``search_path`` at their start and after each reset.

    PgBouncer refuses the startup parameter ``options``, or ignores it if
    ``ignore_startup_parameters`` names it. Then the role needs the setting::

        ALTER ROLE service IN DATABASE service SET search_path = no_tenant
    """
    is_told = True

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Dialect, _: object, args: Any, how: dict[str, Any]) -> Any:
        nonlocal is_told
        if is_told:
            options = f"{how.get('options', '')} -c search_path={path}".strip()
            try:
                return dialect.connect(*args, **{**how, "options": options})
            except psycopg.OperationalError as error:
                if "startup parameter" not in str(error):
                    raise
                is_told = False
        return dialect.connect(*args, **how)

    @event.listens_for(engine, "first_connect")
    def check(raw: Any, _: object) -> None:
        actual = raw.execute("SHOW search_path").fetchone()[0]
        raw.rollback()
        if actual != path:
            log.warning(
                "The pooler gives connections the search_path %s. A statement that leaves its"
                " tenant unnoticed would find tables there, where it should find none. As an"
                " administrator of the database: ALTER ROLE %s IN DATABASE %s SET search_path = %s",
                *(actual, raw.info.user, raw.info.dbname, path),
            )


def _embedded_server() -> URL:
    from .embedded import start

    return start()
