"""Lints migrations on a scratch database, after applying the earlier ones there."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine

from ..errors import ActionableError
from . import errors
from .alembic_bridge import run_steps
from .alembic_options import context_options
from .backends import backend
from .backends.{{ cookiecutter.__backend }} import lint as lint_dialect
from .config import MigrationConfig
from .drift import Snapshot, compare, take_snapshot
from .folder import Folder, name_of, runs_alone
from .lint import Finding, Migration, Report, lint
from .lint_choice import Run, Runs

if TYPE_CHECKING:
    from alembic.script import Script


def lint_runs(server: Engine, config: MigrationConfig, folder: Folder, runs: Runs) -> Report:
    """Lint each run on its own scratch database.

    Args:
        server: the server of the scratch database; its other databases are not touched.
        folder: do not run its migrations elsewhere afterwards: here their bodies run, and may leave
            state in their modules.

    Raises:
        ActionableError: the folder has errors, no scratch database can be created, an earlier
            migration does not run on an empty database, or linting-failed.
    """
    wanted = [run for run in runs(folder) if run.linted]
    try:
        return _merged([report for run in wanted for report in _lint(server, config, folder, run)])
    except ActionableError:
        raise
    except Exception as error:  # any error here is not a failure of a migration
        raise errors.linting_failed(error) from error


class SchemaSnapshots:
    """Snapshots of a schema, as ``migrate verify`` compares them."""

    def __init__(self, schema: str = "") -> None:
        """``schema`` is its name; "" is the connection's default schema."""
        self.schema = schema

    def take(self, connection: Connection) -> Snapshot:
        """The current schema."""
        default = connection.dialect.default_schema_name
        return take_snapshot(connection, self.schema or default or "")

    def compare(self, before: Snapshot, after: Snapshot) -> list[str]:
        """The differences, each without a full stop: they are joined to a sentence."""
        found = compare(before, after, expected_by="the migrations before it")
        return [difference.sentence.removesuffix(".") for difference in found]


def _lint(server: Engine, config: MigrationConfig, folder: Folder, run: Run) -> Iterator[Report]:
    scopes = config.scope.scratch_kinds()
    every = [replace(config, scope=scope, awaits_backfills=False) for scope in scopes]
    with backend.scratch(server) as scratch:
        for scoped in every:
            _apply(scratch, scoped, folder, run.before)
        for scoped in every:
            report = _lint_in(scratch, scoped, run.linted)
            yield report
            if any("fails" in finding.codes for finding in report.findings):
                return


def _apply(
    scratch: Engine, config: MigrationConfig, folder: Folder, scripts: "Sequence[Script]"
) -> None:
    each_alone = any(map(runs_alone, scripts))  # as in a run of the engine
    options = {**context_options(config), "transaction_per_migration": each_alone}
    running: list[Script] = []

    def noted(script: "Script") -> Callable[..., None]:
        def run(**arguments: object) -> None:
            running[:] = [script]
            script.module.upgrade(**arguments)

        return run

    steps = [(script, noted(script)) for script in scripts]
    try:
        with backend.migrating(scratch, config) as connection:
            run_steps(connection, folder.directory, steps, is_upgrade=True, options=options)
    except (Exception, SystemExit) as error:
        names = [(name_of(script), Path(script.path)) for script in running]
        raise errors.does_not_run_on_empty(*names[0], error) if names else error from error


def _lint_in(scratch: Engine, config: MigrationConfig, scripts: "Iterable[Script]") -> Report:
    migrations = [
        _migration(script)
        for script in scripts
        if config.scope.runs(getattr(script.module, "schemas", None))
    ]
    with lint_dialect.connect(scratch, config) as connection:
        return lint(
            connection,
            migrations,
            lint_dialect,
            small_tables=config.lint_small_tables,
            snapshots=SchemaSnapshots(config.scope.name),
            options=context_options(config),
        )


def _migration(script: "Script") -> Migration:
    ignores = getattr(script.module, "lint_ignore", {})
    if not isinstance(ignores, Mapping) or not all(
        isinstance(text, str) for entry in ignores.items() for text in entry
    ):
        raise errors.lint_ignore_unusable(Path(script.path))
    return replace(Migration.of(script, name_of(script)), transaction=not runs_alone(script))


def _merged(reports: Sequence[Report]) -> Report:
    """One report. A finding that several schemas have is reported once."""
    linted = dict.fromkeys(name for report in reports for name in report.linted)
    findings = [
        finding
        for report in reports
        for finding in report.findings
        if finding.code != "unused-ignore" or _is_unused(finding, reports)
    ]
    notices = [notice for report in reports for notice in report.notices]
    silenced = [finding for report in reports for finding in report.silenced]
    return Report(tuple(linted), _once(findings), _once(notices), _once(silenced))


def _is_unused(finding: Finding, reports: Sequence[Report]) -> bool:
    # A migration for all schemas may need its lint_ignore only in some of them.
    where = [report for report in reports if finding.migration in report.linted]
    return all(finding in report.findings for report in where)


def _once(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    unique = {(one.migration, one.codes, one.line, one.detail): one for one in findings}
    return tuple(unique.values())
