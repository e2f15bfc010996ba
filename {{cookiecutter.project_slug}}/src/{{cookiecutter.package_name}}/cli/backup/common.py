"""What the commands of ``backup`` share."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from .errors import not_confirmed

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from ...migrate import BackupOptions, Manifest, MigrationConfig, Restored

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Name = Annotated[str, typer.Argument(help="As backup list prints it.")]
To = Annotated[
    str | None, typer.Option("--to", help="Into this database, not into DATABASE_URL's.")
]


@contextmanager
def backups(to: str | None = None) -> "Iterator[tuple[Engine, MigrationConfig, BackupOptions]]":
    """The database, its migrations' configuration, and how backups are made.

    Args:
        to: the address of another database.

    Raises:
        ActionableError: the settings cannot work.
    """
    from ...database.backend import connect
    from ...migrations import config_for
    from ...migrations.backup import backup_options
    from ...settings import load_settings

    settings = load_settings(serving=False)
    target = settings.addressed(to) if to is not None else settings
    engine = connect(target, migrating=True)
    try:
        yield engine, config_for(settings), backup_options(settings)
    finally:
        engine.dispose()


def say(step: str) -> None:
    """Show progress."""
    print(step, file=sys.stderr, flush=True)


def report_created(manifest: "Manifest | None", *, as_json: bool) -> None:
    """Say what was made."""
    if as_json:
        print(json.dumps(manifest and manifest.as_dict(), default=str))
    elif manifest is None:
        print("There is nothing to save")
    else:
        print(f"Created {manifest.name}: {size(manifest.size)} in {manifest.duration:.1f} s")


def report_restored(name: str, restored: "Restored") -> None:
    """Say what was restored, and where what was there before is."""
    print(f"Restored {name}")
    if not restored.is_compared:
        print("The schema was not compared with what was saved: the database's version is another.")
    if restored.kept is not None:
        print(f"What was there before is kept as {restored.kept}")
        print(f"To remove it: backup forget {restored.kept}")


def confirm(what: str, command: str, *, yes: bool) -> None:
    """Ask whether to go on, and leave with 1 when the answer is no.

    Raises:
        ActionableError: backup-not-confirmed, when nobody can be asked.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise not_confirmed(what, command)
    typer.confirm(f"{what}. Go on?", abort=True)


def size(number: int) -> str:
    """Bytes as people read them."""
    return f"{number} bytes" if number < 10_000 else f"{number / 1e6:.2f} MB"
