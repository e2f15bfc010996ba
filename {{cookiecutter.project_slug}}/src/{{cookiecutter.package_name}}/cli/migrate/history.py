"""The commands ``migrate history`` and ``migrate stats``."""

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ...words import count
from ..common import Json, connect_to, database
from ..output import print_rows
from . import group

if TYPE_CHECKING:
    from ...migrate import MigrationRun, MigrationStats, MigrationTime, TimesCompared

COLUMNS = ("Started (UTC)", "State", "Batch", "Migrations", "Seconds", "By", "Undone (UTC)")
TIME = "%Y-%m-%d %H:%M:%S"
BAR_WIDTH = 30


@group.command("history")
def migrate_history(
    limit: Annotated[int, typer.Option(help="Maximum number of runs.", min=1)] = 20,
    migration: Annotated[
        str | None, typer.Option(help="Only runs of this migration: file name or revision.")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only runs that failed.")] = False,
    as_json: Json = False,
) -> None:
    """List past runs, newest first: when, what, how long, by whom, how it ended."""
    from ...migrate import read_runs

    with database() as (engine, config):
        runs = read_runs(engine, config=config, limit=limit, migration=migration, failed=failed)
    if as_json:
        print(json.dumps([asdict(run) for run in runs], default=str))
    elif runs:
        print_rows(COLUMNS, [_row(run) for run in runs])
        for run in runs:
            _print_notes(run)
    else:
        print("No run failed" if failed else "No run is recorded", file=sys.stderr)


@group.command("stats")
def migrate_stats(
    other: Annotated[
        str | None,
        typer.Argument(metavar="URL", help="Compare with the database of another environment."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show how often migrations ran, how long each took, and the slowest statements."""
    from ...migrate import compare_times, read_stats

    with database() as (engine, config):
        stats = read_stats(engine, config=config)
    compared = None
    if other is not None:
        other_engine = connect_to(other)
        try:
            compared = compare_times(stats, read_stats(other_engine, config=config))
        finally:
            other_engine.dispose()
    if as_json:
        values = asdict(stats) | {"tenants_per_second": stats.tenants_per_second}
        print(json.dumps(values | _as_dict(compared), default=str))
        return
    print(_summary(stats))
    if compared is not None:
        _print_compared(compared)
        return
    _print_times(stats.migrations)
    if stats.statements:
        rows = [
            (
                f"{one['seconds']:.3f}",
                "" if one["rows"] is None else str(one["rows"]),
                one["statement"],
            )
            for one in stats.statements
        ]
        print_rows(("Seconds", "Rows", "Slowest statements of the last runs"), rows)


def _row(run: "MigrationRun") -> tuple[str, ...]:
    times = f" {run.times} times" if run.times > 1 else ""
    return (
        f"{run.started_at:{TIME}}",
        f"{run.state}{times}",
        "" if run.batch is None else str(run.batch),
        ", ".join(run.migrations),
        f"{run.duration:.3f}",
        run.by,
        "" if run.undone_at is None else f"{run.undone_at:{TIME}}",
    )


def _print_notes(run: "MigrationRun") -> None:
    """On standard error, so that standard output has one line for each run."""
    for remark in run.remarks:
        print(f"{run.started_at:{TIME}}: {remark}", file=sys.stderr)


def _summary(stats: "MigrationStats") -> str:
    lines = [
        f"{count(stats.runs, 'run')}, {stats.rolled_back} rolled back since, {stats.failed} failed."
    ]
    if stats.first_at and stats.last_at:
        lines[0] += f" First {stats.first_at:{TIME}}, last {stats.last_at:{TIME}} UTC."
    if stats.waited >= 1:
        lines.append(f"Longest wait for another migrator: {stats.waited:.1f} seconds.")
    if stats.retries:
        lines.append(f"Because of locked tables: {count(stats.retries, 'retry', 'retries')}.")
    if stats.held_back:
        lines.append(f"Held back: {count(stats.held_back, 'time')}.")
    if stats.tenants_per_second is not None:
        tenants = f"{count(stats.tenants, 'tenant')} in {stats.tenant_seconds:.1f} seconds"
        lines.append(f"Tenants: {tenants}, {stats.tenants_per_second:.1f} a second.")
    return "\n".join(lines)


def _print_compared(compared: "TimesCompared") -> None:
    """Each migration's seconds here and there, with an estimate for those that ran only there."""
    if compared.factor is not None:
        print(f"A migration takes {compared.factor:.2f} times as long here as there (the median).")
    rows = [
        (name, *map(_seconds, (here, there, compared.expected(here, there))))
        for name, here, there in compared.migrations
    ]
    print_rows(("Migration", "Seconds here", "Seconds there", "Expected here"), rows)


def _as_dict(compared: "TimesCompared | None") -> dict[str, object]:
    if compared is None:
        return {}
    rows = [
        {"name": name, "here": here, "there": there, "expected": compared.expected(here, there)}
        for name, here, there in compared.migrations
    ]
    return {"compared": {"factor": compared.factor, "migrations": rows}}


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.3f}"


def _print_times(times: "tuple[MigrationTime, ...]") -> None:
    """On a terminal a bar for each migration; in a pipe a line with tabs."""
    if not sys.stdout.isatty():
        rows = [
            (one.name, str(one.times), f"{one.last:.3f}", f"{one.longest:.3f}") for one in times
        ]
        print_rows((), rows)
        return
    from rich.bar import Bar
    from rich.console import Console
    from rich.table import Table

    longest = max((one.longest for one in times), default=0.0)
    table = Table("Migration", "Times", "Last", "Longest", "")
    for one in times:
        bar = Bar(longest or 1.0, 0, one.longest, width=BAR_WIDTH)
        table.add_row(one.name, str(one.times), f"{one.last:.3f} s", f"{one.longest:.3f} s", bar)
    Console().print(table)
