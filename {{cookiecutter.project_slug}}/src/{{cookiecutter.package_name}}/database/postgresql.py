"""PostgreSQL through psycopg 3."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
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

from ..settings.postgresql import DatabaseSettings

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_SECONDS = 5
POOL_TIMEOUT_SECONDS = 10
# Firewalls forget idle connections, and machines vanish, without a word. After a minute of silence a
# connection fails, where Linux waits for two hours; until then the probes keep it known.
# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-KEEPALIVES-IDLE
NOTICE_SILENCE = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # milliseconds
}
LOOKED_UP = "looked_up"
TRUSTED_SECONDS = 1.0  # a connection that answered so lately is not asked whether it still does

READ_ONLY_SQL_TRANSACTION = "25006"  # a standby took over, or this one stepped down

UuidType = Uuid

# The database makes the UUID.
NEW_ID: dict[str, Any] = {"server_default": text("gen_random_uuid()")}

# One statement is a transaction of its own: without BEGIN and COMMIT, a round trip in place of three.
LOOK_UP: dict[str, Any] = {"isolation_level": "AUTOCOMMIT"}


def connect(settings: DatabaseSettings, *, migrating: bool = False) -> Engine:
    """An engine for the database that the settings name. Opens no connection yet.

    Outside production, an embedded server starts when they name none.

    A connection comes back from the pool as new: ``DISCARD ALL`` removes temporary tables,
    settings, cursors, prepared statements, LISTEN and advisory locks when it is returned. That is
    one round trip: 0.05 ms where a transaction of three small queries takes 1.1 ms. Behind a pooler
    in transaction mode it would reach any server connection but the one that was used, so it is
    left out there; a tenant's transactions then begin with the same (``database.tenant_guard``).

    Args:
        migrating: whether the engine is for migrations (MIGRATION_DATABASE_URL).

    Raises:
        ActionableError: DATABASE_URL is no PostgreSQL address.
    """
    named = settings.migration_address if migrating else settings.database_address
    address = named or _embedded_server()
    engine = create_engine(
        address,
        poolclass=QueuePool,
        pool_size=settings.kept_connections,
        max_overflow=settings.db_pool_max - settings.kept_connections,
        pool_use_lifo=True,  # one used lately need not be asked whether it still answers
        pool_timeout=POOL_TIMEOUT_SECONDS,
        pool_reset_on_return=None,  # _reset does it
        hide_parameters=True,  # an error that reaches the log must not bring them along
        connect_args={
            "prepare_threshold": None,  # such statements do not survive PgBouncer's transaction mode
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            **{name: value for name, value in NOTICE_SILENCE.items() if name not in address.query},
        },
    )
    if settings.default_search_path is not None and not migrating:
        _set_default_path(engine, settings.default_search_path)
    event.listen(engine, "connect", _note_pooler)
    event.listen(engine, "reset", _reset)
    event.listen(engine, "checkin", _note_the_time)
    event.listen(engine, "checkout", _ask_if_idle)
    event.listen(engine, "handle_error", _keep_values_out)
    return engine


@contextmanager
def for_migrations(engine: Engine, settings: DatabaseSettings) -> Iterator[Engine]:
    """What migrates: this engine, or one for MIGRATION_DATABASE_URL where that is another address.

    Raises:
        ActionableError: MIGRATION_DATABASE_URL is no PostgreSQL address.
    """
    if settings.migration_address == settings.database_address:
        yield engine
        return
    own = connect(settings, migrating=True)
    try:
        yield own
    finally:
        own.dispose()


def _note_pooler(raw: Any, entry: ConnectionPoolEntry) -> None:
    """Mark in ``info["is_pooled"]`` whether a pooler shares the server's side with others.

    A pooler cannot hand on the process id of a server that it has not chosen yet.
    """
    pid = raw.execute("SELECT pg_backend_pid()").fetchone()[0]
    entry.info["is_pooled"] = pid != raw.info.backend_pid
    raw.rollback()


def _reset(raw: Any, entry: ConnectionPoolEntry, state: PoolResetState) -> None:
    if state.terminate_only:
        return
    raw.rollback()
    if entry.info.pop(LOOKED_UP, False):  # one statement that read leaves nothing behind
        return
    if not entry.info["is_pooled"]:
        in_autocommit, raw.autocommit = raw.autocommit, True
        raw.execute("DISCARD ALL")
        raw.autocommit = in_autocommit


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


def _set_default_path(engine: Engine, path: str) -> None:
    """Have connections start, and be after each reset, with this ``search_path``.

    PgBouncer refuses the startup parameter ``options``, or drops it where
    ``ignore_startup_parameters`` names it. Then the role's own setting is what counts::

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
