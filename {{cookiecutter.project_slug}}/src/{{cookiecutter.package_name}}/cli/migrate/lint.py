"""The command ``migrate lint``, which reports what migrations would do to a live site."""

import os
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..common import Json, relative
from ..linting import lint
from . import group


class Format(StrEnum):
    """The format of findings."""

    TEXT = "text"
    GITHUB = "github"


@group.command("lint")
def migrate_lint(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="File names, revisions, or the names given to make. Default: pending."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Only migrations after this one.", metavar="REV")
    ] = None,
    added: Annotated[
        bool,
        typer.Option(
            "--added", help="Only migrations that this git branch adds to the default branch."
        ),
    ] = False,
    as_json: Json = False,
    form: Annotated[
        Format, typer.Option("--format", help="github: annotations of the files.")
    ] = Format.TEXT,
) -> None:
    """Run migrations on a scratch database, and report what they would do to a live one."""
    from ...migrate import show_report

    if sum((bool(names), since is not None, added)) > 1:
        raise typer.BadParameter("Give only one of: names, --since, --added.")
    if as_json and form != Format.TEXT:
        raise typer.BadParameter("Give only one of: --json, --format.")
    chosen = added_names() if added else names or None
    report = None if chosen == [] else lint(chosen, since)
    if shown := show_report(report, "json" if as_json else form.value, path_shown(form)):
        print(shown)
    if report is not None and not report.success:
        sys.exit(1)


def added_names() -> list[str] | None:
    """The migrations that this branch adds; None, with a message, if git cannot tell."""
    from ...migrate import added_migrations

    found = added_migrations()
    if found is None:
        print(
            "Git has no default branch here, so all pending migrations are linted.", file=sys.stderr
        )
    return found


def path_shown(form: Format) -> Callable[[Path], Path]:
    """The function that prints paths: relative to the current folder; on GitHub to the checkout."""
    checkout = os.environ.get("GITHUB_WORKSPACE")
    if form != Format.GITHUB or checkout is None:
        return relative
    return lambda path: path.relative_to(checkout) if path.is_relative_to(checkout) else path
