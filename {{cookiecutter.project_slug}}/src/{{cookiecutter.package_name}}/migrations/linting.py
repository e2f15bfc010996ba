"""Lints pending migrations before a run, as MIGRATION_LINT says."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from ..database.backend import connect
from ..errors import ActionableError
from ..migrate import keep_refusal, lint_pending, refuse_findings
from ..settings import Settings
from . import config_for

if TYPE_CHECKING:
    from ..migrate import Report


@contextmanager
def lint_server(settings: Settings) -> Iterator[Engine]:
    """An engine for the server on which linting creates its scratch database.

    Raises:
        ActionableError: a URL is invalid, or the embedded server does not start.
    """
    engine = connect(settings.for_linting, migrating=True)
    try:
        yield engine
    finally:
        engine.dispose()


def lint_as_set(engine: Engine, settings: Settings, *, next_only: bool = False) -> "Report | None":
    """Lint pending migrations: always with ``error``, only in production with ``warn``.

    Args:
        next_only: lint only the next migration.

    Returns:
        None if nothing was linted.

    Raises:
        ActionableError: with ``error``, lint-findings; linting is not possible.
    """
    level = settings.migration_lint
    if level == "off" or (level == "warn" and not settings.in_production):
        return None
    with ExitStack() as stack:
        report = lint_pending(
            engine,
            next_only=next_only,
            server=lambda: stack.enter_context(lint_server(settings)),
            config=config_for(settings),
        )
    if level == "error":
        try:
            refuse_findings(report)
        except ActionableError as error:
            keep_refusal(engine, error, config=config_for(settings))
            raise
    return report


def refuse_danger(engine: Engine, settings: Settings) -> None:
    """Before the service starts: with ``error``, refuse migrations that would hurt a live site.

    With ``warn`` nothing is linted: each start would wait for it, and its log would be read too
    late.

    Raises:
        ActionableError: lint-findings, or linting is not possible.
    """
    if settings.migration_lint == "error":
        lint_as_set(engine, settings)
