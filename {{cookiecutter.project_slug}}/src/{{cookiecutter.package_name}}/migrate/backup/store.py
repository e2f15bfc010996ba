"""The store of backups: four methods, so that a fork can store them elsewhere."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from . import errors

PARTIAL = ".partial"
ABANDONED_SECONDS = 24 * 3600.0  # a file of this age is no longer being written


class Store(Protocol):
    """Files by name. A file exists completely or not at all."""

    def put(self, name: str, write: Callable[[Path], object], *, needed: int = 0) -> None:
        """Store a file. If it fails, no file of that name exists.

        Args:
            write: writes the file at the given path, where an empty file exists.
            needed: size in bytes; 0 if unknown.

        Raises:
            ActionableError: backup-not-written, backup-disk-full; and the errors of ``write``.
        """

    def list(self) -> Iterator[str]:
        """The names of all files, sorted.

        Raises:
            ActionableError: backup-not-read.
        """

    def open(self, name: str) -> BinaryIO:
        """An open file of the operating system, for reading: ``pg_restore`` reads it directly.

        Raises:
            ActionableError: backup-not-read.
        """

    def delete(self, name: str) -> None:
        """Delete a file, if it exists.

        Raises:
            ActionableError: backup-not-written.
        """


class DirectoryStore:
    """Files in a folder, which is created if it is missing. Only their owner may read them.

    A file is written under a temporary name, synchronised with the disk, and renamed. Temporary
    files of a killed process are deleted after a day.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def put(self, name: str, write: Callable[[Path], object], *, needed: int = 0) -> None:
        partial = self.directory / f".{name}{PARTIAL}"
        with self._writing():
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._remove_abandoned()
            free = shutil.disk_usage(self.directory).free
            if needed > free:
                raise errors.disk_full(self.directory, needed, free)
            partial.unlink(missing_ok=True)
            partial.touch(mode=0o600)
        try:
            write(partial)
            with self._writing():
                _synchronise(partial)
                partial.replace(self.directory / name)
                _synchronise(self.directory)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise

    def list(self) -> Iterator[str]:
        try:
            names = sorted(path.name for path in self.directory.iterdir() if path.is_file())
        except FileNotFoundError:
            names = []
        except OSError as error:
            raise errors.not_read(self.directory, error) from error
        return (name for name in names if not name.startswith("."))

    def open(self, name: str) -> BinaryIO:
        try:
            return (self.directory / name).open("rb")
        except OSError as error:
            raise errors.not_read(self.directory / name, error) from error

    def delete(self, name: str) -> None:
        with self._writing():
            (self.directory / name).unlink(missing_ok=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise errors.not_written(self.directory, error) from error

    def _remove_abandoned(self) -> None:
        for path in self.directory.glob(f".*{PARTIAL}*"):
            if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                path.unlink(missing_ok=True)


def _synchronise(path: Path) -> None:
    """Write the data to the disk, so that it survives a crash of the machine."""
    if path.is_dir() and os.name == "nt":  # Windows cannot open a folder
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
