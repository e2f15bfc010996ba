"""SQLite: foreign keys, a write-ahead log, real transactions, one writer at a time."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

from sqlalchemy import (
    Connection,
    Dialect,
    Engine,
    QueuePool,
    StaticPool,
    String,
    create_engine,
    event,
    exc,
)
from sqlalchemy.dialects.sqlite import insert as insert
from sqlalchemy.types import TypeDecorator

from ..settings.sqlite import DatabaseSettings, in_memory
from .abandoned import return_once

BUSY_TIMEOUT_MS = 5_000
WRITER_TIMEOUT_SECONDS = 30.0

# Result codes of a database that cannot be used now, but perhaps later.
AWAY = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
}
INSTRUCTIONS_BETWEEN_SIGNALS = 100_000  # of SQLite's virtual machine: some milliseconds


class UuidType(TypeDecorator[UUID]):
    """A UUID stored as text of 36 characters, with hyphens."""

    impl = String(36)
    cache_ok = True

    def process_bind_param(self, value: UUID | None, dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> UUID | None:
        return None if value is None else UUID(value)


# SQLite cannot generate a UUID; the application does.
NEW_ID: dict[str, Any] = {"default": uuid4}

# Each statement is a transaction.
LOOK_UP: dict[str, Any] = {"looks_up": True}


def connect(settings: DatabaseSettings, *, migrating: bool = False) -> Engine:
    """An engine for the database of the settings. It opens no connection yet.

    Args:
        migrating: whether the engine is for migrations; it makes no difference here.

    Raises:
        ActionableError: DATABASE_URL is not a SQLite URL.
    """
    url = settings.database_address
    writing = threading.Lock()
    how: dict[str, Any] = {"poolclass": StaticPool}
    if not in_memory(url):
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
        how = {
            "poolclass": QueuePool,
            "pool_size": settings.kept_connections,
            "max_overflow": settings.db_pool_max - settings.kept_connections,
        }
    engine = create_engine(
        url,
        hide_parameters=True,  # so that an error in the log contains no parameters
        connect_args={"check_same_thread": False, "factory": partial(_Connection, writing=writing)},
        **how,
    )
    event.listen(engine, "engine_connect", return_once)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


@contextmanager
def for_migrations(engine: Engine, settings: DatabaseSettings) -> Iterator[Engine]:
    """The engine for migrations: this one."""
    yield engine


def is_away(error: Exception) -> bool:
    """Whether the database cannot be used now, so that a later retry may help."""
    if isinstance(error, exc.TimeoutError):  # all connections of the pool were in use
        return True
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", None)
    return code is not None and code & 0xFF in AWAY


class _Connection(sqlite3.Connection):
    """A connection that queues for writing.

    SQLite itself lets writers retry until one of them times out; here the writers of this process
    queue instead.
    """

    def __init__(self, *args: Any, writing: threading.Lock, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._writing = writing
        self._writes = False

    def begin_to_write(self) -> None:
        """Begin a transaction that may write.

        Raises:
            sqlite3.OperationalError: another writer did not finish in time.
        """
        if not self._writes:
            if not self._writing.acquire(timeout=WRITER_TIMEOUT_SECONDS):
                busy = sqlite3.OperationalError("database is locked")
                busy.sqlite_errorcode = sqlite3.SQLITE_BUSY
                raise busy
            self._writes = True
        try:
            self.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._let_others_write()
            raise

    def commit(self) -> None:
        super().commit()
        self._let_others_write()

    def rollback(self) -> None:
        try:
            super().rollback()
        finally:
            self._let_others_write()

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._let_others_write()

    def _let_others_write(self) -> None:
        if self._writes:
            self._writes = False
            self._writing.release()


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    # The driver's own transactions start late and can leave half a migration behind:
    # https://docs.sqlalchemy.org/en/21/dialects/sqlite.html#pysqlite-serializable
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    # Python handles a signal only between its own instructions, and there are none during a long
    # statement. So this callback runs regularly. If Ctrl-C raises KeyboardInterrupt in it, SQLite
    # stops.
    connection.set_progress_handler(lambda: None, INSTRUCTIONS_BETWEEN_SIGNALS)


def _begin(connection: Connection) -> None:
    # A transaction that reads and then writes fails at once if another one wrote in between; the
    # busy timeout does not help. So a transaction that may write takes the write lock at its start.
    options = connection.get_execution_options()
    if options.get("isolation_level") == "AUTOCOMMIT" or options.get("looks_up"):
        return
    if options.get("read_only"):
        connection.exec_driver_sql("BEGIN")
    else:
        cast(_Connection, connection.connection.driver_connection).begin_to_write()
