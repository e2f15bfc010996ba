"""Connections to PostgreSQL: for reading, and for migrating.

Alembic begins and commits, also in the middle of a run; so the setup of each of these
transactions is done by events of the connection. Outside a transaction nothing may depend on the
session, since a pooler such as PgBouncer can use another session for each statement: every
statement that can run in a transaction gets its own.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import errors as pg
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, event, func, select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError, TimeoutError

from ....errors import ActionableError
from ... import errors
from ...config import MigrationConfig
from ...scope import Scope
from ..common import bare, driver_connection, in_autocommit, my_name

RETRY_SECONDS = 0.5
# The errors of statements that cannot run in a transaction block. They occur before any change.
_WANTS_NO_TRANSACTION = (pg.ActiveSqlTransaction, pg.InvalidTransactionTermination)

_PASSING = (
    pg.LockNotAvailable,
    pg.DeadlockDetected,
    pg.SerializationFailure,
    pg.QueryCanceled,
    pg.IdleInTransactionSessionTimeout,
    pg.TooManyConnections,
    pg.CannotConnectNow,
)

# What to do about an error, by PostgreSQL's code:
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_REFUSALS = {
    "28000": "Let this user log in (pg_hba.conf), or correct the user in DATABASE_URL.",
    "28P01": "Correct the user or the password in DATABASE_URL.",
    "3D000": "Create the database, or correct its name in DATABASE_URL.",
    "42501": "Grant this user the permission; the owner of the schema or table can.",
    "3F000": "Create the schema, or let this user use it: GRANT USAGE ON SCHEMA …",
    "53300": "Raise max_connections, or close others: the engine needs two connections.",
    "53100": "Free space on the server's disk.",
    "25006": "Connect to the primary: this server takes no writes.",
}


@contextmanager
def reading(engine: Engine, scope: Scope | None = None) -> Iterator[Connection]:
    """A connection that takes no lock and leaves no transaction open.

    Raises:
        ActionableError: database-away, database-refuses, transaction-begun.
    """
    try:
        with _connected(bare(engine)) as connection:
            if scope is not None:
                scope.enter(connection)
            yield connection
    except SQLAlchemyError as error:
        raise explain(engine, error) from error


def column_names(connection: Connection, table: str) -> frozenset[str]:
    """Names of a table's columns; none if it does not exist."""
    quoted = connection.dialect.identifier_preparer.quote_identifier(table)
    query = text(
        "SELECT attname FROM pg_attribute"
        " WHERE attrelid = to_regclass(:table) AND attnum > 0 AND NOT attisdropped"
    )
    return frozenset(connection.scalars(query, {"table": quoted}))


def connect_apart(engine: Engine) -> Connection:
    """A connection outside the pool: the pool may allow only one, which the run needs."""
    pool, hidden = engine.pool.recreate(), engine.hide_parameters
    apart = Engine(pool, engine.dialect, engine.url, hide_parameters=hidden)
    return apart.connect().execution_options(isolation_level="READ COMMITTED")


def explain(engine: Engine, error: SQLAlchemyError) -> ActionableError:
    """The error for a database that does not answer or refuses, without a password."""
    address = engine.url.render_as_string()
    if (solution := refusal(error)) is not None:
        return errors.database_refuses(address, error, solution)
    return errors.database_away(address, error)


def refusal(error: BaseException) -> str | None:
    """What to do if the database refuses any statement, for example because a right is missing."""
    original = getattr(error, "orig", None)
    code = getattr(original, "sqlstate", None)
    if code is None and isinstance(original, psycopg.OperationalError):
        # While connecting, psycopg has the server's message but not its code.
        code = next((c for words, c in _SAID.items() if words in str(original)), None)
    return _REFUSALS.get(code or "")


_SAID = {
    "password authentication failed": "28P01",
    "no pg_hba.conf entry": "28000",
    "too many": "53300",
    "permission denied": "42501",
    'FATAL:  role "': "28000",
    'FATAL:  database "': "3D000",
}


def timed_out(error: BaseException) -> bool:
    """Whether a statement reached the time limit for a table's lock."""
    return isinstance(error, DBAPIError) and isinstance(error.orig, pg.LockNotAvailable)


def was_interrupted(error: BaseException) -> bool:
    """Whether a signal ended the statement: psycopg raises the KeyboardInterrupt itself."""
    return False


def may_pass(error: SQLAlchemyError) -> bool:
    """Whether a retry may succeed a moment later, or with fewer rows.

    A lock was not free in time, there was a deadlock, a statement took longer than the server
    allows, or the connection was lost.
    """
    passing = isinstance(getattr(error, "orig", None), _PASSING)
    return passing or is_lost(error) or isinstance(error, TimeoutError)  # of the pool


def is_lost(error: SQLAlchemyError) -> bool:
    """Whether the connection was lost, or none could be made."""
    if not isinstance(error, DBAPIError):
        return False
    no_answer = isinstance(error.orig, psycopg.OperationalError) and error.orig.sqlstate is None
    return error.connection_invalidated or no_answer


def is_there_already(error: BaseException) -> bool:
    """Whether a statement tried to create an existing object."""
    made = (pg.DuplicateTable, pg.DuplicateObject, pg.DuplicateFunction, pg.DuplicateSchema)
    return isinstance(error, DBAPIError) and isinstance(error.orig, made)


def is_forbidden(error: SQLAlchemyError) -> bool:
    """Whether the database allows no writes, or none by this user."""
    original = getattr(error, "orig", None)
    return isinstance(original, pg.InsufficientPrivilege | pg.ReadOnlySqlTransaction)


def ended_transaction(connection: Connection) -> bool:
    """Whether the transaction is no longer open because the body ended it."""
    status = driver_connection(connection).info.transaction_status
    return bool(status == TransactionStatus.IDLE)


@contextmanager
def row_checks(connection: Connection) -> Iterator[Callable[..., None]]:
    """Alembic's ``on_version_apply`` hook for missing checks of the database: there are none."""
    yield lambda **_: None


@contextmanager
def migrating(
    engine: Engine, config: MigrationConfig, before_commit: Callable[[], None] = lambda: None
) -> Iterator[Connection]:
    """A connection without an open transaction.

    Each transaction on it enters the scope, waits for a table's lock no longer than the limit, and
    has a name by which ``unlock --force`` finds it; the same holds for each statement outside a
    transaction.

    Args:
        before_commit: called before each commit and each statement outside a transaction; if it
            raises, they do not happen.

    Raises:
        ActionableError: transaction-begun.
    """
    own = bare(engine)
    with _connected(own) as connection:

        def begun(connection: Connection) -> None:
            if not in_autocommit(connection):
                _prepare(connection, config)
                config.scope.begin(connection)
                config.scope.enter(connection)

        def commit(connection: Connection) -> None:
            before_commit()
            if not in_autocommit(connection):
                config.scope.commit(connection)

        event.listen(connection, "begin", begun)
        event.listen(connection, "commit", commit)
        alone = _StatementsAlone(connection, config, before_commit)
        # These two events belong to the dialect, which all engines of the service share.
        event.listen(own, "do_execute", alone.execute)
        event.listen(own, "do_executemany", alone.executemany)
        try:
            yield connection
        finally:
            event.remove(own, "do_execute", alone.execute)
            event.remove(own, "do_executemany", alone.executemany)
            _forget(connection)


@contextmanager
def chunk(
    engine: Engine, config: MigrationConfig, before_commit: Callable[[], None]
) -> Iterator[Connection]:
    """The transaction of one chunk of a backfill.

    It waits for a locked row no longer than for a table's lock.

    Args:
        before_commit: called before the commit; if it raises, nothing is committed.

    Raises:
        ActionableError: transaction-begun.
    """
    with migrating(engine, config, before_commit) as connection, connection.begin():
        yield connection


def _prepare(connection: Connection, config: MigrationConfig) -> None:
    milliseconds = int(config.table_lock_timeout * 1000)
    connection.execute(text(f"SET LOCAL lock_timeout = {milliseconds}"))
    connection.execute(select(func.set_config("application_name", my_name(), True)))


@contextmanager
def _connected(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        # A "connect" listener of the caller can have begun a transaction.
        if driver_connection(connection).info.transaction_status != TransactionStatus.IDLE:
            raise errors.transaction_begun()
        yield connection.execution_options(isolation_level="READ COMMITTED")


class _StatementsAlone:
    """Executes each statement outside a transaction in its own transaction, if possible."""

    def __init__(
        self, connection: Connection, config: MigrationConfig, before: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._config = config
        self._before = before
        self._preparing = False

    def execute(self, cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
        return self._run(context, statement, lambda: cursor.execute(statement, parameters))

    def executemany(self, cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
        return self._run(context, statement, lambda: cursor.executemany(statement, parameters))

    def _run(self, context: Any, statement: str, execute: Callable[[], object]) -> bool:
        is_own = context.root_connection is self._connection
        if not is_own or self._preparing or not in_autocommit(self._connection):
            return False
        self._before()
        try:
            self._in_transaction(execute)
        except _WANTS_NO_TRANSACTION:
            self._on_session(statement, execute)
        return True

    def _in_transaction(self, execute: Callable[[], object]) -> None:
        retries = self._config.table_lock_retries
        while True:
            try:
                with driver_connection(self._connection).transaction():
                    with self._unwatched():
                        _prepare(self._connection, self._config)
                        self._config.scope.enter(self._connection)
                    execute()
                return
            except pg.LockNotAvailable:
                # Its own transaction is undone, so it can simply be tried again.
                if not retries:
                    raise
                self._config.observer.retrying(retries)
                retries -= 1
                time.sleep(RETRY_SECONDS)

    def _on_session(self, statement: str, execute: Callable[[], object]) -> None:
        # CREATE INDEX CONCURRENTLY and similar. There is no time limit for locks, because reaching
        # it would leave an invalid index.
        raw = driver_connection(self._connection)
        if raw.execute("SELECT pg_backend_pid()").fetchone()[0] != raw.info.backend_pid:
            # There is a pooler, so the session's settings may not apply to the statement.
            if self._config.scope.needs_entering:
                raise errors.needs_a_direct_connection(" ".join(statement.split())[:100])
            execute()
            return
        with self._unwatched():
            name = func.set_config("application_name", my_name(), False)
            self._connection.execute(select(name))
            self._config.scope.enter(self._connection, for_session=True)
        try:
            execute()
        finally:
            with suppress(psycopg.Error):
                raw.execute("RESET ROLE")
                raw.execute("RESET search_path")
                raw.execute("RESET application_name")

    @contextmanager
    def _unwatched(self) -> Iterator[None]:
        self._preparing = True
        try:
            yield
        finally:
            self._preparing = False


def _forget(connection: Connection) -> None:
    # A migration may have changed settings of its session. Nobody else may get this connection; a
    # pooler may keep the server connection, so that is reset too.
    raw = driver_connection(connection)
    with suppress(psycopg.Error, SQLAlchemyError):
        raw.rollback()
        raw.autocommit = True
        raw.execute("RESET ROLE")
        raw.execute("RESET ALL")
    with suppress(SQLAlchemyError):
        connection.invalidate()
