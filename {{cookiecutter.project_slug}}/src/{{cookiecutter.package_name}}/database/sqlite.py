"""SQLite: foreign keys on, write-ahead log, real transactions."""

import sqlite3
from pathlib import Path
from typing import Any
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
)
from sqlalchemy.dialects.sqlite import insert as insert
from sqlalchemy.types import TypeDecorator

from ..settings.sqlite import DatabaseSettings, in_memory

BUSY_TIMEOUT_MS = 5_000
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


def connect(settings: DatabaseSettings, *, migrating: bool = False) -> Engine:
    """An engine for the database that the settings name. Opens no connection yet.

    Args:
        migrating: whether the engine is for migrations; here it is the same.

    Raises:
        ActionableError: DATABASE_URL is no SQLite address.
    """
    url = settings.database_address
    if in_memory(url):
        engine = create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
    else:
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(
            url,
            poolclass=QueuePool,
            pool_size=settings.db_pool_min,
            max_overflow=settings.db_pool_max - settings.db_pool_min,
        )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


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
    if options.get("isolation_level") == "AUTOCOMMIT":
        return
    connection.exec_driver_sql("BEGIN" if options.get("read_only") else "BEGIN IMMEDIATE")
