"""The output of migrations: tables on a terminal, plain text in a pipe, JSON for programs."""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..words import count

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..errors import ActionableError
    from ..migrate import (
        BackfillProgress,
        CompletedMigration,
        MigrationResult,
        MigrationStatus,
        NewMigration,
        SchemaDifference,
        SeedsResult,
    )

COLUMNS = ("Migration", "Batch", "Applied (UTC)", "Seconds", "State")
ONLY_SOMETIMES = ("ahead", "held_back", "held_by")  # keys of a result's JSON
NOTHING_TO_DO = {"run": "Already up to date", "rolled back": "Already at the base migration"}


def print_result(
    result: "MigrationResult",
    done: str,
    *,
    verbose: bool = False,
    as_json: bool = False,
    everything: bool = False,
) -> None:
    """Print the result of a run, in Knex's words. ``done`` is "run" or "rolled back"."""
    if as_json:
        print(json.dumps(shown(result)))
    elif result.migrations:
        batch = "All batches" if everything else f"Batch {result.batch}"
        print(f"{batch} {done}: {count(len(result.migrations), 'migration')}")
        if verbose:
            print(*result.migrations, sep="\n")
    elif result.success and not result.held_back:
        print(NOTHING_TO_DO[done] + _what_stays(result))
    if result.held_back and not as_json:
        print(held_back(result.held_back, result.held_by))


def held_back(migrations: Sequence[str], by: Sequence[str]) -> str:
    """A line with the waiting migrations and the reason."""
    return f"Held back: {', '.join(migrations)}, by {'; '.join(by)}"


def _what_stays(result: "MigrationResult") -> str:
    if not result.baseline:
        return ""
    if len(result.baseline) == 1:
        return ": 1 migration was taken over or squashed, and stays"
    return f": {len(result.baseline)} migrations were taken over or squashed, and stay"


def report_seeds(result: "SeedsResult") -> None:
    """Print the seeds that ran, and exit 1 if one failed."""
    if result.success or result.seeds:
        print(f"Ran {count(len(result.seeds), 'seed')}", *result.seeds, sep="\n")
    if result.error is not None:
        print_failure(result.error)
        sys.exit(1)


def print_failure(error: "ActionableError", *, as_json: bool = False) -> None:
    """Print a command's error on standard error; ``as_json``: on standard output, for programs."""
    if as_json:
        print(json.dumps({"success": False, "error": error.as_dict()}))
    print(error, file=sys.stderr)


def print_new(new: "NewMigration", path: "Callable[[Path], Path]") -> None:
    """Print the new file, and the differences between the models and the database: drops in red.

    Args:
        path: makes the printed form of a path.
    """
    print(f"Created {path(new.path)}")
    if new.online:
        print(f"Created {path(new.online)}, to run outside a transaction")
    for found in new.differences:
        left_out = "  (left out: no migration here made it)" if found.left_out else ""
        typer.secho(f"  {found.text}{left_out}", fg="red" if found.drops else None)
    for table, tool in new.other_tools.items():
        print(f"  Table {table} belongs to {tool}: not touched")
    if new.note:
        print(f"It is blank: {new.note}")


def print_status(status: "MigrationStatus", *, as_json: bool) -> None:
    """List completed and pending migrations."""
    if as_json:
        print(json.dumps(_status_as_dict(status), default=str))
        return
    rows = [_row(migration) for migration in status.completed]
    rows += [
        (name, "", "", "", _with_phase(state, status.phases[name]))
        for state, names in (("pending", status.pending), ("held back", status.held_back))
        for name in names
    ]
    print_rows(COLUMNS, rows)


def _status_as_dict(status: "MigrationStatus") -> dict[str, Any]:
    return {
        "completed": [asdict(migration) for migration in status.completed],
        "pending": status.pending,
        "held_back": status.held_back,
        "held_by": status.held_by,
        "phases": status.phases,
        "backfills": [
            asdict(backfill) | {"rate": backfill.rate, "left": backfill.left}
            for backfill in status.backfills
        ],
        "current": status.current,
        "problem": status.problem and status.problem.as_dict(),
    }


def print_differences(differences: "Iterable[SchemaDifference]") -> None:
    """Print each difference in words, with its possible cause and the action."""
    for one in differences:
        print(f"{one.sentence}\n  Cause: {one.cause}\n  Solution: {one.action}")


def print_rows(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print a table on a terminal; in a pipe a line with tabs for each row, and no heading."""
    if sys.stdout.isatty():
        _print_table(columns, rows)
    else:
        for row in rows:
            print(*row, sep="\t")


def summary(status: "MigrationStatus") -> str:
    """One line with the current revision, and one line for each problem."""
    lines = [
        f"Current: {status.current or 'none'}. "
        f"{len(status.completed)} completed, {len(status.pending)} pending."
    ]
    if status.held_back:
        lines.append(held_back(status.held_back, status.held_by))
    lines += map(_backfill, status.backfills)
    if ahead := [migration.name for migration in status.completed if migration.ahead]:
        number = count(len(ahead), "migration")
        lines.append(f"The schema is ahead of this release by {number}: {', '.join(ahead)}")
    if status.unknown_contracts and status.problem:
        lines.append(status.problem.problem)
    for migration in status.completed:
        if migration.missing:
            lines.append(f"The file of {migration.name} is missing.")
        elif migration.changed:
            lines.append(f"{migration.name} changed after it was applied.")
    return "\n".join(lines)


def _backfill(progress: "BackfillProgress") -> str:
    """A backfill's progress, its speed, and the error that stopped it."""
    parts = [f"{progress.migration}: {progress}"]
    if progress.rate is not None and progress.left is not None:
        rate, left = count(round(progress.rate), "row"), count(round(progress.left), "second")
        parts.append(f"{rate} per second, {left} left")
    if progress.error is not None:
        parts.append(f"stopped by {progress.error.splitlines()[0]}")
    return "; ".join(parts)


def _row(migration: "CompletedMigration") -> tuple[str, ...]:
    states = ("missing", "changed", "ahead")
    state = next((state for state in states if getattr(migration, state)), "completed")
    return (
        migration.name,
        "" if migration.batch is None else str(migration.batch),
        "" if migration.applied_at is None else f"{migration.applied_at:%Y-%m-%d %H:%M:%S}",
        "" if migration.duration is None else f"{migration.duration:.3f}",
        _with_phase(state, migration.phase),
    )


def _with_phase(state: str, phase: str) -> str:
    return state if phase == "expand" else f"{state} ({phase})"


def _print_table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def shown(result: "MigrationResult") -> dict[str, Any]:
    """A result as programs read it."""
    return {
        "success": result.success,
        "batch": result.batch,
        "migrations": result.migrations,
        "error": result.error and result.error.as_dict(),
        "duration": result.duration,
    } | {name: value for name in ONLY_SOMETIMES if (value := getattr(result, name))}
