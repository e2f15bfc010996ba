"""The commands of ``migrate`` that tell the past: every run, and numbers about them."""

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ...words import count
from ..common import Json, database
from ..output import print_rows
from . import group

if TYPE_CHECKING:
    from ...migrate import MigrationRun, MigrationStats, MigrationTime

COLUMNS = ("Started (UTC)", "State", "Batch", "Migrations", "Seconds", "By", "Undone (UTC)")
TIME = "%Y-%m-%d %H:%M:%S"
BAR_WIDTH = 30


@group.command("history")
def migrate_history(
    limit: Annotated[int, typer.Option(help="Runs to show, at most.", min=1)] = 20,
    migration: Annotated[
        str | None, typer.Option(help="Only runs of this one: file name or revision.")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only runs that failed.")] = False,
    as_json: Json = False,
) -> None:
    """List the runs of the past, newest first: when, what, how long, by whom, how it ended."""
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
def migrate_stats(as_json: Json = False) -> None:
    """Say how often migrations ran, how long each took, and which statements were slow."""
    from ...migrate import read_stats

    with database() as (engine, config):
        stats = read_stats(engine, config=config)
    if as_json:
        print(json.dumps(asdict(stats), default=str))
        return
    print(_summary(stats))
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
    """On standard error, so that what a program reads has one line for each run."""
    said = [*run.notes, *([run.error["problem"]] if run.error else [])]
    for note in said:
        print(f"{run.started_at:{TIME}}: {note}", file=sys.stderr)


def _summary(stats: "MigrationStats") -> str:
    lines = [
        f"{count(stats.runs, 'run')}, {stats.rolled_back} rolled back since, {stats.failed} failed."
    ]
    if stats.first_at and stats.last_at:
        lines[0] += f" First {stats.first_at:{TIME}}, last {stats.last_at:{TIME}} UTC."
    if stats.waited >= 1:
        lines.append(f"Longest wait for another migrator: {stats.waited:.1f} seconds.")
    if stats.retries:
        lines.append(f"Tables that stayed locked: {count(stats.retries, 'retry', 'retries')}.")
    return "\n".join(lines)


def _print_times(times: "tuple[MigrationTime, ...]") -> None:
    """A bar for each migration on a terminal; in a pipe a line for each, with tabs."""
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
