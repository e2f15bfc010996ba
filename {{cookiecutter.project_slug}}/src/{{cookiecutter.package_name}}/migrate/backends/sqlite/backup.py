"""Saves a SQLite database, and replaces it by another file."""

import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Self

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, inspect, text

from ..common import driver_connection
from . import backup_errors as errors
from .connection import reading

KEPT = "before"


class Dump:
    """One backup by ``VACUUM INTO``: a compact copy of the committed data at one moment.

    Args:
        client: not used: SQLite needs none.
    """

    SUFFIX = ".db"

    def __init__(self, engine: Engine, client: Path | None = None) -> None:
        self._engine = engine

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to release."""

    def size(self) -> int:
        """The maximum size of the copy in bytes."""
        path = path_of(self._engine)
        # The latest changes may be only in the write-ahead log.
        files = [] if path is None else [path, path.with_name(f"{path.name}-wal")]
        return sum(file.stat().st_size for file in files if file.exists())

    def write(self, path: Path, schemas: Sequence[str] = (), without: Sequence[str] = ()) -> None:
        """Write the database to a file, which is empty, and check it.

        Raises:
            ActionableError: backup-not-sound, if SQLite finds the copy damaged.
            SQLAlchemyError: it cannot be written.
        """
        with reading(self._engine) as connection:
            try:
                # Not through SQLAlchemy: it would begin a transaction, which VACUUM refuses.
                driver_connection(connection).execute("VACUUM INTO ?", [str(path)])
            except sqlite3.Error as error:
                raise errors.copy_failed(error) from error
        check(path)

    @contextmanager
    def connection(self, path: Path | None = None) -> Iterator[Connection]:
        """A connection to the copy at ``path``; without one, to the database."""
        if path is None:
            with reading(self._engine) as connection:
                yield connection
            return
        with connected_to(path) as connection:
            yield connection


@contextmanager
def connected_to(path: Path) -> Iterator[Connection]:
    """A connection to a file that no other process uses."""
    engine = create_engine(URL.create("sqlite", database=str(path)), poolclass=NullPool)
    with engine.connect() as connection:
        yield connection


def check(path: Path) -> None:
    """Let SQLite check every page.

    Raises:
        ActionableError: backup-not-sound.
    """
    with closing(sqlite3.connect(path)) as connection:
        try:
            found = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
        except sqlite3.DatabaseError as error:
            found = [str(error)]
    if found != ["ok"]:
        raise errors.not_sound("; ".join(found))


def current_schema(connection: Connection) -> str:
    """The schema of the service's tables."""
    return "main"


def needs(connection: Connection) -> dict[str, Any]:
    """The requirements of a new database before the copy is loaded: none."""
    return {}


def path_of(engine: Engine) -> Path | None:
    """The file of the database; None if it is in memory."""
    name = engine.url.database
    return None if name in (None, "", ":memory:") else Path(str(name)).absolute()


def live_instances(connection: Connection) -> int:
    """The number of instances of the service with a heartbeat within the last minute.

    The rows of the others are deleted: an instance that wakes up must register again, which waits.
    """
    # The first registration of an instance creates the table. An older database has none; then
    # SQLite itself detects that the file is in use.
    if not inspect(connection).has_table("service_instances"):
        return 0
    connection.execute(_REMOVE_GONE)
    return int(connection.scalar(_LIVE) or 0)


_REMOVE_GONE = text("DELETE FROM service_instances WHERE beat_at <= datetime('now', '-60 seconds')")
_LIVE = text("SELECT count(*) FROM service_instances")


class Restore:
    """A new file next to the old one, and the swap.

    Args:
        engine: the database to replace. It need not exist.
        client: not used: SQLite needs none.
        when: start of the restore, for the name of the kept file.
    """

    def __init__(self, engine: Engine, client: Path | None, when: datetime) -> None:
        path = path_of(engine)
        if path is None:
            raise errors.in_memory()
        self._engine = engine
        self._path = path
        self._new = path.with_name(f"{path.name}.restoring")
        self._kept = path.with_name(f"{path.name}.{KEPT}-{when:%Y%m%d-%H%M%S-%f}")

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._new.unlink(missing_ok=True)  # from a killed restore
        return self

    def __exit__(self, *_: object) -> None:
        self._new.unlink(missing_ok=True)

    @property
    def exists(self) -> bool:
        """Whether there is a database to replace."""
        return self._path.exists()

    def load(self, files: Sequence[tuple[BinaryIO, str | None]], needs: Mapping[str, Any]) -> None:
        """Write the new file and check it.

        Raises:
            ActionableError: backup-not-sound, backup-not-restored.
        """
        ((file, _),) = files
        try:
            with self._new.open("xb") as new:
                shutil.copyfileobj(file, new)
                new.flush()
                os.fsync(new.fileno())
            if self.exists:
                shutil.copymode(self._path, self._new)
        except OSError as error:
            raise errors.not_restored(self._path, error) from error
        check(self._new)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection to the new file."""
        with connected_to(self._new) as connection:
            yield connection

    def swap(self) -> str | None:
        """Replace the old file by the new one; return the old file's new name.

        The old file first gets its second name, and then the new one takes the first name: whenever
        the process dies, one of the two has the first name.

        Raises:
            ActionableError: backup-database-in-use, backup-not-restored.
        """
        self._engine.dispose()
        try:
            if not self.exists:
                self._new.replace(self._path)
                return None
            with _alone(self._path):
                self._keep()
                self._new.replace(self._path)
            return self._kept.name
        except OSError as error:
            raise errors.not_restored(self._path, error) from error

    def _keep(self) -> None:
        try:
            self._kept.hardlink_to(self._path)
        except OSError:  # a file system without hard links
            shutil.copy2(self._path, self._kept)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Make sure that no other process has the database open, and that one file holds all of it.

    Raises:
        ActionableError: backup-database-in-use.
    """
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        try:
            # This moves the write-ahead log into the file, which SQLite does only for the last
            # connection. The service turns the log on again when it connects.
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise errors.in_use(path) from error
        try:
            yield
        finally:
            connection.rollback()


def kept(engine: Engine) -> list[str]:
    """The names of files that restores have kept, oldest first."""
    path = path_of(engine)
    if path is None:
        return []
    found = path.parent.glob(f"{path.name}.{KEPT}-????????-??????-??????")
    return sorted(file.name for file in found)


def forget(engine: Engine, name: str) -> None:
    """Remove a file that a restore has kept."""
    path = path_of(engine)
    if path is not None:
        path.with_name(name).unlink(missing_ok=True)
