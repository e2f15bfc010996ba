"""Saves a SQLite database, and puts another file in its place."""

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
    """One backup of the database, by ``VACUUM INTO``: what is committed, at one moment, compact.

    Args:
        client: not used: SQLite needs none.
    """

    SUFFIX = ".db"

    def __init__(self, engine: Engine, client: Path | None = None) -> None:
        self._engine = engine

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held."""

    def size(self) -> int:
        """The bytes that the copy takes at most."""
        path = path_of(self._engine)
        # What was written last may be in the log beside it alone.
        files = [] if path is None else [path, path.with_name(f"{path.name}-wal")]
        return sum(file.stat().st_size for file in files if file.exists())

    def write(self, path: Path, schemas: Sequence[str] = (), without: Sequence[str] = ()) -> None:
        """Write the database to a file, which is empty, and check it.

        Raises:
            ActionableError: backup-not-sound, when SQLite finds the copy damaged.
            SQLAlchemyError: it cannot be written.
        """
        with reading(self._engine) as connection:
            try:
                # Not as a statement of SQLAlchemy: VACUUM refuses the transaction it would begin.
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
    """A connection to a file that nobody else uses."""
    engine = create_engine(URL.create("sqlite", database=str(path)), poolclass=NullPool)
    with engine.connect() as connection:
        yield connection


def check(path: Path) -> None:
    """Have SQLite look at every page.

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
    """What a new database must have before the copy is loaded: nothing."""
    return {}


def path_of(engine: Engine) -> Path | None:
    """The file of the database; None when it is in memory."""
    name = engine.url.database
    return None if name in (None, "", ":memory:") else Path(str(name)).absolute()


def live_instances(connection: Connection) -> int:
    """How many instances of the service have said within a minute that they live.

    The others are removed: one that wakes up must register again, and is kept from it meanwhile.
    """
    # The table comes with the service's registration of instances; a database that is older than
    # that has none, and SQLite itself then tells whether the file is in use.
    if not inspect(connection).has_table("service_instances"):
        return 0
    connection.execute(_REMOVE_GONE)
    return int(connection.scalar(_LIVE) or 0)


_REMOVE_GONE = text("DELETE FROM service_instances WHERE beat_at <= datetime('now', '-60 seconds')")
_LIVE = text("SELECT count(*) FROM service_instances")


class Restore:
    """A new file beside the old one, and the swap.

    Args:
        engine: the database that is to be replaced. It need not be there.
        client: not used: SQLite needs none.
        when: when the restore began; it dates the name of what is kept.
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
        self._new.unlink(missing_ok=True)  # of a restore that was killed
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
        """Put the new file in place of the old one; return what the old one is called now.

        The old file gets its second name first, and then the new one takes the first: whenever the
        process dies, one of the two is there.

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
    """Nobody else has the database open, and its file is all there is of it.

    Raises:
        ActionableError: backup-database-in-use.
    """
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        try:
            # It takes what is in the write-ahead log into the file, which SQLite does for the last
            # connection alone. The service turns the log on again when it connects.
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
