"""Lints migrations: the named ones, or the pending ones before a run.

The linter and Alembic are slow to import, so they are imported only if there is something to lint.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from . import errors, lint_choice
from .backends import backend
from .backends.common import check_engine
from .config import MigrationConfig, default_config
from .folder import Folder
from .status import read_status

if TYPE_CHECKING:
    from .lint import Finding, Report


def lint_migrations(
    engine: Engine,
    names: Sequence[str] | None = None,
    *,
    since: str | None = None,
    server: Engine | None = None,
    config: MigrationConfig | None = None,
) -> "Report":
    """Run migrations on a scratch database, and report what they would do to a live one.

    Earlier migrations are applied there first. The service's own tables are only read, and only
    to find the pending migrations.

    Args:
        names: the migrations to lint; default, if ``since`` is not set either: the pending ones.
        since: a migration: it and those that it needs are not linted, all others are.
        server: the scratch database is created on this server (PostgreSQL); default: the engine's
            own server.

    Raises:
        ActionableError: no-scratch-database, name-unknown, a migration fails on an empty database,
            lint-ignore-unusable, or the folder has errors.
    """
    from .lint_on_scratch import lint_runs

    check_engine(engine, backend.DIALECT, backend.DRIVER)
    config = config or default_config()
    if names is not None:
        runs = lint_choice.called(names)
    elif since is not None:
        runs = lint_choice.since(since)
    else:
        runs = lint_choice.pending(engine, config)
    return lint_runs(server or engine, config, Folder(config), runs)


def lint_pending(
    engine: Engine,
    *,
    next_only: bool = False,
    server: Callable[[], Engine] | None = None,
    config: MigrationConfig | None = None,
) -> "Report | None":
    """Lint pending migrations, if the database is in use.

    Args:
        next_only: lint only the next migration, as :func:`migrate_up` applies only that.
        server: as for :func:`lint_migrations`; called only if there is something to lint.

    Returns:
        None if nothing is pending, or nothing was ever applied: then nobody uses the database.

    Raises:
        ActionableError: as :func:`lint_migrations`.
    """
    config = config or default_config()
    folder = Folder(config)
    status = read_status(engine, config, folder)
    if status.problem or not status.pending or not status.completed:
        return None
    from .lint_on_scratch import lint_runs

    pending = lint_choice.called(status.pending[:1])
    runs = pending if next_only else lint_choice.pending(engine, config)
    return lint_runs(server() if server else engine, config, folder, runs)


def refuse_findings(report: "Report | None") -> None:
    """Refuse to run migrations with findings.

    Raises:
        ActionableError: lint-findings.
    """
    if report is not None and report.findings:
        names = dict.fromkeys(finding.migration for finding in report.findings)
        raise errors.lint_findings(list(names))


def show_report(report: "Report | None", form: str, path: Callable[[Path], Path]) -> str:
    """The report of linting as text.

    Args:
        report: None if there was nothing to lint.
        form: ``text``, ``json`` or ``github``.
        path: makes the printed form of a file's path.
    """
    from .lint import Report, as_github, as_json, as_text

    def shown(findings: "Sequence[Finding]") -> "tuple[Finding, ...]":
        return tuple(replace(one, path=path(Path(one.path)).as_posix()) for one in findings)

    report = report or Report((), ())
    write = {"text": as_text, "json": as_json, "github": as_github}[form]
    return write(
        replace(
            report,
            findings=shown(report.findings),
            notices=shown(report.notices),
            silenced=shown(report.silenced),
        )
    )
