"""SQLite: foreign keys on, write-ahead log, real transactions, writers one after the other."""

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

BUSY_TIMEOUT_MS = 5_000
WRITER_TIMEOUT_SECONDS = 30.0

# Result codes of a database that cannot be used now, and later perhaps can.
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
    """A UUID stored as text of 36 characters, as people write it."""

    impl = String(36)
    cache_ok = True

    def process_bind_param(self, value: UUID | None, dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> UUID | None:
        return None if value is None else UUID(value)


# SQLite cannot make a UUID; the application does.
NEW_ID: dict[str, Any] = {"default": uuid4}

# One statement is a transaction of its own.
LOOK_UP: dict[str, Any] = {"looks_up": True}


def connect(settings: DatabaseSettings, *, migrating: bool = False) -> Engine:
    """An engine for the database that the settings name. Opens no connection yet.

    Args:
        migrating: whether the engine is for migrations; here it is the same.

    Raises:
        ActionableError: DATABASE_URL is no SQLite address.
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
        hide_parameters=True,  # an error that reaches the log must not bring them along
        connect_args={"check_same_thread": False, "factory": partial(_Connection, writing=writing)},
        **how,
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


@contextmanager
def for_migrations(engine: Engine, settings: DatabaseSettings) -> Iterator[Engine]:
    """What migrates: this engine."""
    yield engine


def is_away(error: Exception) -> bool:
    """Whether the database cannot be used now, so that trying again later may help."""
    if isinstance(error, exc.TimeoutError):  # every connection of the pool stayed in use
        return True
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", None)
    return code is not None and code & 0xFF in AWAY


class _Connection(sqlite3.Connection):
    """A connection that waits for its turn to write.

    SQLite itself lets writers try again and again until one of them runs out of time; here they
    queue, those of this process at least.
    """

    def __init__(self, *args: Any, writing: threading.Lock, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._writing = writing
        self._writes = False

    def begin_to_write(self) -> None:
        """Begin a transaction that may write.

        Raises:
            sqlite3.OperationalError: another one writes, and does not end.
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
    # The driver's own transactions start late and leave half a migration behind:
    # https://docs.sqlalchemy.org/en/21/dialects/sqlite.html#pysqlite-serializable
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    # Python heeds a signal only between its own instructions, and a long statement has none: so
    # one runs now and then. Where Ctrl-C raises KeyboardInterrupt in it, SQLite stops.
    connection.set_progress_handler(lambda: None, INSTRUCTIONS_BETWEEN_SIGNALS)


def _begin(connection: Connection) -> None:
    # A transaction that reads and then writes fails at once when another wrote in between, busy
    # timeout or not; so one that may write takes the write lock when it begins.
    options = connection.get_execution_options()
    if options.get("isolation_level") == "AUTOCOMMIT" or options.get("looks_up"):
        return
    if options.get("read_only"):
        connection.exec_driver_sql("BEGIN")
    else:
        cast(_Connection, connection.connection.driver_connection).begin_to_write()
