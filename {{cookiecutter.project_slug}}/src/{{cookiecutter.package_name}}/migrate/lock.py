"""One migrator at a time, whatever process, machine or replica it runs on.

The lock lives in the database and dies with its holder: a killed process leaves nothing behind
that a person must clear.
"""

import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock
from typing import Any, Protocol
from zlib import crc32

from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from .results import LockHolder, MigrationError, cause
from .transaction import connect_apart, my_name, reading

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
REMIND_SECONDS = 10.0
JUST_FINISHED = "one that has just begun or ended"
# Any number does, as long as every version of the service uses the same.
ADVISORY_KEY = 1835624306

# Alembic keeps the running migration in a module global, so threads take turns as well.
_one_thread = RLock()


class MigrationLock(Protocol):
    """What both databases' locks can do."""

    def acquire(self) -> bool:
        """Take the lock if it is free; never waits."""

    def release(self) -> None:
        """Give the lock back. Harmless when it was not taken."""

    def verify(self) -> None:
        """Raise MigrationError if the lock was lost, for example by ``unlock --force``."""

    def holder(self) -> LockHolder | None:
        """Who has the lock now."""

    def end_holder(self) -> LockHolder | None:
        """End the session that holds the lock; what it was doing is undone."""


@contextmanager
def migration_lock(engine: Engine, timeout: float, scope: str = "") -> Iterator[MigrationLock]:
    """Hold the lock.

    Args:
        timeout: seconds to wait for it.
        scope: what it is for; "" is the database.

    Raises:
        MigrationError: another migrator held it all that time.
    """
    deadline = time.monotonic() + timeout
    lock = lock_for(engine, scope)
    if not _one_thread.acquire(timeout=timeout):
        raise _gave_up("another thread of this process", timeout)
    try:
        _wait(lock, deadline, timeout)
        yield lock
    finally:
        lock.release()
        _one_thread.release()


def lock_for(engine: Engine, scope: str = "") -> MigrationLock:
    """The lock of the engine's database, or of a part of it."""
    return SqliteLock(engine) if engine.dialect.name == "sqlite" else PostgresqlLock(engine, scope)


def advisory_key(scope: str) -> tuple[int, int]:
    """The two numbers of PostgreSQL's advisory lock for a scope."""
    return ADVISORY_KEY, crc32(scope.encode()) & 0x7FFFFFFF


def _wait(lock: MigrationLock, deadline: float, timeout: float) -> None:
    remind_at = 0.0
    while not lock.acquire():
        now = time.monotonic()
        if now >= deadline:
            raise _gave_up(lock.holder() or JUST_FINISHED, timeout)
        if now >= remind_at:
            log.warning("Waiting for another migrator: %s", lock.holder() or JUST_FINISHED)
            remind_at = now + REMIND_SECONDS
        time.sleep(POLL_SECONDS)


def _gave_up(holder: LockHolder | str, timeout: float) -> MigrationError:
    return MigrationError(
        f"Another migrator held the lock for {timeout:g} seconds: {holder}.",
        "Nothing was run.",
        "Wait for it, raise MIGRATION_LOCK_TIMEOUT, or end it: migrate unlock --force",
    )


def _cannot_lock(path: Path, error: Exception) -> MigrationError:
    return MigrationError(
        f"The lock {path} cannot be written: {cause(error)}",
        "Nothing was run: another process could migrate at the same time.",
        f"Make {path.parent} writable for this user.",
    )


class PostgresqlLock:
    """An advisory lock of a transaction on a connection of its own.

    It is tried, not waited for: a session that waits inside ``pg_advisory_lock`` holds a snapshot
    that CREATE INDEX CONCURRENTLY waits for in turn. It belongs to a transaction, so it also works
    through PgBouncer in transaction mode.
    """

    def __init__(self, engine: Engine, scope: str = "") -> None:
        self._engine = engine
        self._key = advisory_key(scope)
        self._session: Connection | None = None

    def acquire(self) -> bool:
        if self._session is None:
            self._session = connect_apart(self._engine)
        first, second = self._key
        if not self._session.scalar(select(func.pg_try_advisory_xact_lock(first, second))):
            self._session.rollback()
            return False
        self._session.execute(select(func.set_config("application_name", my_name(), True)))
        # The transaction stays idle for as long as the migrations take.
        self._session.execute(
            text(
                "SELECT set_config(name, '0', true) FROM pg_settings"
                " WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')"
            )
        )
        return True

    def release(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            with suppress(SQLAlchemyError):  # it may have ended already
                session.rollback()
            session.invalidate()
            session.close()

    def verify(self) -> None:
        assert self._session is not None
        try:
            self._session.execute(text("SELECT 1"))
        except SQLAlchemyError as error:
            raise MigrationError(
                "The migration lock was lost: its database session has ended.",
                "The migration was undone, so that no two migrators run at once.",
                "Run it again: migrate latest",
            ) from error

    def holder(self) -> LockHolder | None:
        with reading(self._engine) as connection:
            row = connection.execute(
                text(
                    "SELECT pid, application_name, xact_start FROM pg_locks"
                    " JOIN pg_stat_activity USING (pid)"
                    " WHERE locktype = 'advisory' AND granted"
                    " AND classid = :first AND objid = :second AND objsubid = 2"
                    " AND datname = current_database()"
                ),
                {"first": self._key[0], "second": self._key[1]},
            ).first()
        # Of another role's session the database tells the name, but not since when.
        return (
            None if row is None else LockHolder(row[0], row[1], row[2] and row[2].astimezone(UTC))
        )

    def end_holder(self) -> LockHolder | None:
        holder = self.holder()
        if holder is not None:
            with reading(self._engine) as connection:
                connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = :pid"
                        " OR application_name = :name AND datname = current_database()"
                    ),
                    {"pid": holder.process, "name": holder.name},
                )
        return holder


class SqliteLock:
    """The write lock of an empty database beside the service's own, and a note of who holds it.

    The service's file cannot serve: its lock would have to be given up around a migration that
    runs outside a transaction.
    """

    def __init__(self, engine: Engine) -> None:
        with reading(engine) as connection:
            raw: Any = connection.connection.dbapi_connection
            path = raw.execute("PRAGMA database_list").fetchone()[2]
        # A database in memory belongs to this process; the threads' lock is enough.
        self._path = Path(f"{path}-migrate") if path else None
        self._session: sqlite3.Connection | None = None

    def acquire(self) -> bool:
        if self._path is None:
            return True
        try:
            if self._session is None:
                self._session = _open(self._path)
            self._session.execute("BEGIN IMMEDIATE")
            note = f"{os.getpid()}\n{my_name()}\n{datetime.now(UTC).isoformat()}\n"
            self._note.write_text(note, encoding="utf-8")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                return False
            raise _cannot_lock(self._path, error) from error
        except OSError as error:
            raise _cannot_lock(self._path, error) from error
        return True

    @property
    def _note(self) -> Path:
        return Path(f"{self._path}.txt")

    def release(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            session.close()

    def verify(self) -> None:
        """Nobody can take this lock away."""

    def holder(self) -> LockHolder | None:
        if self._path is None or not self._path.exists():
            return None
        with closing(_open(self._path)) as session:
            try:
                session.execute("BEGIN IMMEDIATE")
                return None
            except sqlite3.OperationalError:
                pass
        try:
            pid, name, since = self._note.read_text(encoding="utf-8").splitlines()
            return LockHolder(int(pid), name, datetime.fromisoformat(since))
        except (OSError, ValueError):
            return None  # it is writing its note just now

    def end_holder(self) -> LockHolder | None:
        holder = self.holder()
        if holder is None:
            return None
        raise MigrationError(
            f"{holder} holds the lock, and SQLite cannot end another process's session.",
            "The lock stays until that process ends.",
            f"End the process: kill {holder.process}",
        )


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
