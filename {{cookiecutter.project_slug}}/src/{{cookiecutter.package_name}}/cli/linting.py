"""Linting in commands: lint migrations, and report findings before a run."""

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from ..errors import ActionableError
from .common import database, relative

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from ..migrate import NewMigration, Report


def lint(names: list[str] | None, since: str | None = None) -> "Report":
    """Lint the named migrations, those after ``since``, or all pending ones.

    Only for pending migrations the service's database is read.

    Raises:
        ActionableError: as ``lint_migrations``.
    """
    from ..migrate import lint_migrations
    from ..migrations import config_for
    from ..migrations.linting import lint_server
    from ..settings import load_settings

    settings = load_settings(serving=False)
    with ExitStack() as stack:
        server = stack.enter_context(lint_server(settings))
        engine = server if names or since else stack.enter_context(database())[0]
        return lint_migrations(
            engine, names, since=since, server=server, config=config_for(settings)
        )


def tell_of_new(new: "NewMigration") -> None:
    """Print the findings in a new migration."""
    from ..migrate import show_report

    try:
        report = lint([path.stem for path in (new.path, new.online) if path])
    except ActionableError as error:
        print(f"It is not linted: {error.problem}", file=sys.stderr)
    else:
        if not report.success:
            print(show_report(report, "text", relative))


def look_before_running(engine: "Engine", *, next_only: bool = False) -> None:
    """Lint the pending migrations as MIGRATION_LINT says. If none is pending, it costs one query.

    Args:
        next_only: lint only the next migration.

    Raises:
        ActionableError: lint-findings, or with ``error`` linting is not possible.
    """
    from ..migrate import show_report
    from ..migrations.linting import lint_as_set
    from ..settings import load_settings

    settings = load_settings(serving=False)
    try:
        report = lint_as_set(engine, settings, next_only=next_only)
    except ActionableError as error:
        if settings.migration_lint == "error":
            raise
        print(f"Not linted: {error.problem}\n{error.solution}", file=sys.stderr)
    else:
        if report is not None and not report.success:
            print(show_report(report, "text", relative), file=sys.stderr)
