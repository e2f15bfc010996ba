"""Connections to PostgreSQL: for reading, and for migrating.

Alembic begins and commits, also in the middle of a run; what must hold around each of these
transactions hangs on the connection's own events. Outside a transaction nothing may lean on the
session, since a pooler such as PgBouncer can give each statement another one: every statement that
can runs in a transaction of its own.
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
# The errors of statements that cannot run in a transaction block. They come before anything is done.
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

# What an error is about, by PostgreSQL's code, and what to do:
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_REFUSALS = {
    "28000": "Let this user log in (pg_hba.conf), or correct the user in DATABASE_URL.",
    "28P01": "Correct the user or the password in DATABASE_URL.",
    "3D000": "Create the database, or correct its name in DATABASE_URL.",
    "42501": "Grant this user the permission; the owner of the schema or table can.",
    "3F000": "Make the schema, or let this user use it: GRANT USAGE ON SCHEMA …",
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
        with bare(engine).connect() as connection:
            _refuse_begun(connection)
            connection.execution_options(isolation_level="READ COMMITTED")
            if scope is not None:
                scope.enter(connection)
            yield connection
    except SQLAlchemyError as error:
        raise explain(engine, error) from error


def connect_apart(engine: Engine) -> Connection:
    """A connection that is not the pool's: that may have room for one, which the run needs."""
    apart = Engine(engine.pool.recreate(), engine.dialect, engine.url)
    return apart.connect().execution_options(isolation_level="READ COMMITTED")


def explain(engine: Engine, error: SQLAlchemyError) -> ActionableError:
    """The error of a database that does not answer, or refuses. Shows no password."""
    address = engine.url.render_as_string()
    if (solution := refusal(error)) is not None:
        return errors.database_refuses(address, error, solution)
    return errors.database_away(address, error)


def refusal(error: BaseException) -> str | None:
    """What to do where the database refuses whatever the statement says, as for lack of a right."""
    original = getattr(error, "orig", None)
    code = getattr(original, "sqlstate", None)
    if code is None and isinstance(original, psycopg.OperationalError):
        # While a connection is made, psycopg has the server's words and not its code.
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
    """Whether a statement waited for a table's lock as long as it may."""
    return isinstance(error, DBAPIError) and isinstance(error.orig, pg.LockNotAvailable)


def was_interrupted(error: BaseException) -> bool:
    """Whether a signal ended the statement: psycopg raises the KeyboardInterrupt itself."""
    return False


def may_pass(error: SQLAlchemyError) -> bool:
    """Whether the same may work a moment later, or with fewer rows.

    A lock was not free in time, two waited for each other, a statement took longer than the server
    allows, or the connection was lost.
    """
    passing = isinstance(getattr(error, "orig", None), _PASSING)
    return passing or is_lost(error) or isinstance(error, TimeoutError)  # the pool's


def is_lost(error: SQLAlchemyError) -> bool:
    """Whether the connection was lost, or none could be made."""
    if not isinstance(error, DBAPIError):
        return False
    no_answer = isinstance(error.orig, psycopg.OperationalError) and error.orig.sqlstate is None
    return error.connection_invalidated or no_answer


def is_there_already(error: BaseException) -> bool:
    """Whether a statement made something that is there."""
    made = (pg.DuplicateTable, pg.DuplicateObject, pg.DuplicateFunction, pg.DuplicateSchema)
    return isinstance(error, DBAPIError) and isinstance(error.orig, made)


def is_forbidden(error: SQLAlchemyError) -> bool:
    """Whether the database takes no writes, or none from this user."""
    original = getattr(error, "orig", None)
    return isinstance(original, pg.InsufficientPrivilege | pg.ReadOnlySqlTransaction)


def ended_transaction(connection: Connection) -> bool:
    """Whether the transaction that was begun is no longer open: the body ended it itself."""
    status = driver_connection(connection).info.transaction_status
    return bool(status == TransactionStatus.IDLE)


@contextmanager
def row_checks(connection: Connection) -> Iterator[Callable[..., None]]:
    """Alembic's ``on_version_apply`` hook for what the database does not check itself: nothing."""
    yield lambda **_: None


@contextmanager
def migrating(
    engine: Engine, config: MigrationConfig, before_commit: Callable[[], None] = lambda: None
) -> Iterator[Connection]:
    """A connection on which nothing has begun yet.

    Each transaction on it enters the scope, waits for a table's lock no longer than the limit, and
    has a name by which ``unlock --force`` finds it; so does each statement outside a transaction.

    Args:
        before_commit: called before each commit and each statement outside a transaction; what it
            raises prevents it.

    Raises:
        ActionableError: transaction-begun.
    """
    own = bare(engine)
    with own.connect() as connection:
        _refuse_begun(connection)
        connection.execution_options(isolation_level="READ COMMITTED")

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
        # These two are events of the dialect, which all engines of the service share.
        event.listen(own, "do_execute", alone.execute)
        event.listen(own, "do_executemany", alone.executemany)
        try:
            yield connection
        finally:
            event.remove(own, "do_execute", alone.execute)
            event.remove(own, "do_executemany", alone.executemany)
            _forget(connection)


def _prepare(connection: Connection, config: MigrationConfig) -> None:
    milliseconds = int(config.table_lock_timeout * 1000)
    connection.execute(text(f"SET LOCAL lock_timeout = {milliseconds}"))
    connection.execute(select(func.set_config("application_name", my_name(), True)))


def _refuse_begun(connection: Connection) -> None:
    # It can be begun by a "connect" listener of the caller.
    if driver_connection(connection).info.transaction_status != TransactionStatus.IDLE:
        raise errors.transaction_begun()


class _StatementsAlone:
    """Executes each statement that is outside a transaction in one of its own, if that can be."""

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
                # It was a transaction of its own, and is undone: it can simply be tried again.
                if not retries:
                    raise
                self._config.observer.retrying(retries)
                retries -= 1
                time.sleep(RETRY_SECONDS)

    def _on_session(self, statement: str, execute: Callable[[], object]) -> None:
        # CREATE INDEX CONCURRENTLY and its like. There is no time limit for locks: one that strikes
        # leaves an invalid index behind.
        raw = driver_connection(self._connection)
        if raw.execute("SELECT pg_backend_pid()").fetchone()[0] != raw.info.backend_pid:
            # A pooler is in between, so what is set for the session may not hold for the statement.
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
    # A migration may have set something for its session. Nobody else shall get that connection; and
    # a pooler in between may keep the server's side of it, so that is reset too.
    raw = driver_connection(connection)
    with suppress(psycopg.Error, SQLAlchemyError):
        raw.rollback()
        raw.autocommit = True
        raw.execute("RESET ROLE")
        raw.execute("RESET ALL")
    with suppress(SQLAlchemyError):
        connection.invalidate()
