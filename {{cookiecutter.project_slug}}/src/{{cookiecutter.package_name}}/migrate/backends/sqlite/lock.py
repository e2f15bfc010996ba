"""The migration lock on SQLite: a small database next to the service's own."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine

from ...config import MigrationConfig
from ...errors import lock_timeout
from ...results import LockHolder
from ..common import bare, driver_connection, my_name
from . import errors
from .connection import begin_immediate, reading

POLL_SECONDS = 0.1


class Lock:
    """The write lock of an empty database next to the service's own, with a note of its holder.

    The service's file cannot be used, because a migration outside a transaction would have to
    release its lock. The lock ends when its process dies.

    Args:
        scope: the name of the scope; "" is the database.
    """

    def __init__(self, engine: Engine, scope: str = "") -> None:
        with reading(engine) as connection:
            databases = driver_connection(connection).execute("PRAGMA database_list")
            path = databases.fetchone()[2]
        # A database in memory belongs to this process; the lock between threads is enough.
        self._path = Path(f"{path}-{scope or 'migrate'}") if path else None
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
            raise errors.cannot_lock(self._path, error) from error
        except OSError as error:
            raise errors.cannot_lock(self._path, error) from error
        return True

    @property
    def _note(self) -> Path:
        return Path(f"{self._path}.txt")

    def close_gate(self) -> bool:
        """Registering takes the same lock."""
        return True

    def release(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            session.close()

    def verify(self) -> None:
        """Nothing to check: nobody can take this lock away."""

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
            return None  # the holder is writing its note now

    def end_holder(self) -> LockHolder | None:
        holder = self.holder()
        if holder is None:
            return None
        raise errors.cannot_end_holder(holder, holder.process)


@contextmanager
def registering(engine: Engine, config: MigrationConfig) -> Iterator[Connection]:
    """A transaction during which no contract begins. It waits for a running migrator.

    It would wait anyway, since a migration has the write lock.

    Raises:
        ActionableError: lock-timeout, cannot-lock.
    """
    lock = Lock(engine)
    deadline = time.monotonic() + config.lock_timeout
    while not lock.acquire():
        if time.monotonic() > deadline:
            raise lock_timeout(lock.holder() or "a migrator", config.lock_timeout)
        time.sleep(POLL_SECONDS)
    try:
        with bare(engine).connect() as connection, connection.begin():
            begin_immediate(connection)
            yield connection
    finally:
        lock.release()


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
