"""Code that the commands of ``backup`` share."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from ...words import count
from .errors import not_confirmed

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from ...migrate import BackupOptions, Manifest, MigrationConfig, Restored

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Name = Annotated[str, typer.Argument(help="The name that backup list prints.")]
To = Annotated[
    str | None, typer.Option("--to", help="Restore into this database instead of DATABASE_URL's.")
]


@contextmanager
def backups(to: str | None = None) -> "Iterator[tuple[Engine, MigrationConfig, BackupOptions]]":
    """The database, its migrations' configuration, and the options of backups.

    Args:
        to: URL of another database.

    Raises:
        ActionableError: the settings are invalid.
    """
    from ...database.backend import connect
    from ...migrations import config_for
    from ...migrations.backup import backup_options
    from ...settings import load_settings
    from ..progress import StepLines

    settings = load_settings(serving=False)
    target = settings.addressed(to) if to is not None else settings
    engine = connect(target, migrating=True)
    try:
        config = replace(config_for(settings), observer=StepLines())
        yield engine, config, backup_options(settings)
    finally:
        engine.dispose()


def say(line: str) -> None:
    """Show it at once on standard error."""
    print(line, file=sys.stderr, flush=True)


def report_created(manifest: "Manifest | None", *, as_json: bool) -> None:
    """Print the new backup."""
    if as_json:
        print(json.dumps(manifest and manifest.as_dict(), default=str))
    elif manifest is None:
        print("There is nothing to save")
    else:
        print(f"Created {manifest.name}: {size(manifest.size)} in {manifest.duration:.1f} s")


def report_restored(name: str, restored: "Restored") -> None:
    """Print the restored backup, and where the old database is kept."""
    print(f"Restored {name}")
    if not restored.is_compared:
        print("The schema was not compared with the backup: the database has another version.")
    if restored.kept is not None:
        print(f"The old database is kept as {restored.kept}")
        print(f"To remove it: backup forget {restored.kept}")


def confirm(what: str, command: str, *, yes: bool) -> None:
    """Ask for confirmation, and exit 1 if the answer is no.

    Raises:
        ActionableError: backup-not-confirmed, if there is no terminal.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise not_confirmed(what, command)
    typer.confirm(f"{what}. Continue?", abort=True)


def size(number: int) -> str:
    """A number of bytes, for people."""
    return count(number, "byte") if number < 10_000 else f"{number / 1e6:.2f} MB"
