"""Code that the command groups share."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ActionableError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from ..migrate import MigrationConfig, MigrationResult, MigrationStatus

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Also print the names.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation in production.")]
OptionalName = Annotated[
    str | None, typer.Argument(help="File name, revision, or the name given to make.")
]
Phase = Annotated[
    str, typer.Option(help="expand, backfill or contract.", metavar="PHASE", show_default=True)
]


@contextmanager
def database() -> "Iterator[tuple[Engine, MigrationConfig]]":
    """The engine and the migrations' configuration, from the environment.

    Raises:
        ActionableError: the settings are invalid.
    """
    from ..database.backend import connect
    from ..migrations import config_for
    from ..settings import load_settings
    from .progress import observing

    settings = load_settings(serving=False)
    engine = connect(settings, migrating=True)
    try:
        with observing(settings) as observer:
            yield engine, replace(config_for(settings), observer=observer)
    except KeyboardInterrupt as stop:
        # The engine has already reported the state: see ``migrate.errors.interrupted``.
        print(*getattr(stop, "__notes__", ()), sep="\n", file=sys.stderr)
        raise
    finally:
        engine.dispose()


def connect_to(address: str) -> "Engine":
    """An engine for the database at another URL. The caller disposes of it.

    Raises:
        ActionableError: the settings or the URL are invalid.
    """
    from pydantic import SecretStr

    from ..database.backend import connect
    from ..settings import load_settings

    other = {"database_url": SecretStr(address), "environment": "development"}
    return connect(load_settings(serving=False).model_copy(update=other))


def confirm_undoing_all(*, yes: bool) -> None:
    """In production, undo every batch only with ``--yes``.

    Raises:
        ActionableError: it was not confirmed, or the settings are invalid.
    """
    from ..migrate import confirm_undoing
    from ..settings import load_settings

    in_production = load_settings(serving=False).in_production
    confirm_undoing("migrate rollback --all --yes", confirmed=yes or not in_production)


def report(result: "MigrationResult", done: str, **how: bool) -> None:
    """Print the result of a run, and exit 1 if it failed."""
    from .output import print_failure, print_result

    print_result(result, done, **how)
    if result.error is not None:
        print_failure(result.error)
        sys.exit(1)


def leave_where_files_are_missing(status: "MigrationStatus") -> None:
    """Exit 1 if nothing can be run: files are missing, or a contract is unknown."""
    missing = any(migration.missing for migration in status.completed)
    if missing or status.unknown_contracts:
        sys.exit(1)


def keep_schema_files(engine: "Engine", config: "MigrationConfig") -> None:
    """In development, update the committed files of the schema, if there are any.

    What the command did before stays, so a failure is only reported.
    """
    from ..migrate import write_schema_files
    from ..settings import load_settings

    if load_settings(serving=False).environment == "development":
        try:
            for path in write_schema_files(engine, config=config):
                print(f"Updated {relative(path)}")
        except (ActionableError, OSError) as error:
            cause = error.problem if isinstance(error, ActionableError) else error
            print(f"The files of the schema were not updated: {cause}", file=sys.stderr)


def relative(path: Path) -> Path:
    """A path relative to the current folder."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
