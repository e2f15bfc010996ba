"""Past runs, from the history. Reads only; takes no lock."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, islice
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, or_, select

from ...words import count
from ..backends import backend
from ..config import MigrationConfig, default_config
from ..history import BASELINE, history_table, read_columns
from ..results import RunState
from .other_runs import Kept, read_kept

RUNS_AT_ONCE = 100
ERROR_KEYS = ("code", "problem", "impact", "solution")


@dataclass(frozen=True)
class MigrationRun:
    """One run.

    Attributes:
        key: its position in the list; older runs come after it. See :func:`read_runs`.
        state: a :class:`RunState`.
        batch: None if it applied nothing here, or took over applied migrations.
        migrations: names; in a failed run, the failed ones; in one that was held back, the waiting
        ones. duration: seconds of the migrations; if it applied nothing, of the whole run.
        undone_at: when the last of its migrations was undone, if all were. host: the machine it ran
        on; None if unknown. pid: the process. release: the service's version. waited: seconds of
        waiting for the lock. retries: number of retries because a table was locked. statements: the
        slowest statements first: ``statement`` without values, ``seconds``, ``rows``. notes: the
        notes of its migrations. error: of a failed run: code, problem, impact, solution. times: how
        often in a row it ended this way; the other fields are of the last time. held_by: the
        reasons, if it was held back. tenants: number of migrated tenants, in a run over tenants.
        tenants_failed: number of failed tenants. backup: the backup that was made before it.
    """

    key: str
    state: RunState
    batch: int | None
    migrations: tuple[str, ...]
    started_at: datetime
    duration: float
    undone_at: datetime | None = None
    host: str | None = None
    pid: int | None = None
    release: str | None = None
    waited: float = 0.0
    retries: int = 0
    statements: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    error: dict[str, str] | None = None
    times: int = 1
    held_by: tuple[str, ...] = ()
    tenants: int | None = None
    tenants_failed: int = 0
    backup: str | None = None

    @property
    def remarks(self) -> list[str]:
        """Further remarks about it, each as a sentence."""
        sentences = list(self.notes)
        if self.tenants is not None:
            migrated = count(self.tenants, "tenant")
            sentences.append(f"{migrated} migrated, {self.tenants_failed} failed")
        if self.held_by:
            sentences.append(f"held back by {'; '.join(self.held_by)}")
        if self.error is not None:
            sentences.append(self.error["problem"])
        if self.backup is not None:
            sentences.append(f"backup {self.backup}")
        return sentences

    @property
    def by(self) -> str:
        """Host, process and release, as far as they are known."""
        process = f"{self.host} pid {self.pid}" if self.host else ""
        return " ".join(filter(None, [process, self.release]))


def read_runs(
    engine: Engine,
    *,
    config: MigrationConfig | None = None,
    limit: int | None = None,
    after: str | None = None,
    migration: str | None = None,
    failed: bool = False,
) -> list[MigrationRun]:
    """Runs, newest first. A rollback appears as the state of the run that it undid.

    Args:
        limit: maximum number of runs.
        after: the ``key`` of the last run of the previous page.
        migration: only runs of this migration: name, revision, or the name given to ``make``.
        failed: only runs that failed.

    Raises:
        ActionableError: the database does not answer.
        ValueError: ``after`` is not a key.
    """
    config = config or default_config()
    before = _parse(after) if after else None
    with backend.reading(engine, config.scope) as connection:
        found = (
            run
            for run in _all_runs(connection, config, before, migration, failed=failed)
            if (before is None or _parse(run.key) < before)
            and (not failed or run.state is RunState.FAILED)
            and (migration is None or any(_is_called(name, migration) for name in run.migrations))
        )
        return list(islice(found, limit))


def _parse(key: str) -> tuple[int, int]:
    number, _, failure = key.partition(".")
    return int(number), int(failure)


def _is_called(name: str, wanted: str) -> bool:
    revision, _, typed = name.partition("_")
    return wanted in (name, revision, typed)


def _all_runs(
    connection: Connection,
    config: MigrationConfig,
    before: tuple[int, int] | None,
    migration: str | None,
    *,
    failed: bool,
) -> Iterator[MigrationRun]:
    columns = read_columns(connection, config)
    if not columns or (failed and "other_runs" not in columns):
        return
    table = history_table(config.history_table)
    shown = [column for column in table.columns if column.name in columns]
    numbers = select(table.c.run_id).distinct().order_by(table.c.run_id.desc())
    if failed:
        numbers = numbers.where(table.c.other_runs.is_not(None))
    elif migration is not None:
        named = [table.c.name.contains(migration, autoescape=True)]
        if "other_runs" in columns:
            named.append(table.c.other_runs.contains(migration, autoescape=True))
        numbers = numbers.where(or_(*named))
    last = before[0] + 1 if before else None
    while True:
        page = numbers if last is None else numbers.where(table.c.run_id < last)
        wanted = connection.scalars(page.limit(RUNS_AT_ONCE)).all()
        if not wanted:
            return
        last = wanted[-1]
        rows = connection.execute(
            select(*shown)
            .where(table.c.run_id.in_(wanted))
            .order_by(table.c.run_id.desc(), table.c.id)
        ).mappings()
        for number, group in groupby(rows, key=lambda row: int(row["run_id"])):
            yield from _runs_of(number, list(group))


def _runs_of(number: int, rows: list[RowMapping]) -> Iterator[MigrationRun]:
    """The run that wrote these rows, preceded by later runs that wrote none."""
    others = [kept for row in rows for kept in read_kept(row.get("other_runs"))]
    for kept in sorted(others, key=lambda kept: -int(kept["number"])):
        yield _other_run(number, kept)
    yield _run_of_rows(number, rows)


def _run_of_rows(number: int, rows: list[RowMapping]) -> MigrationRun:
    details = [json.loads(row["details"]) for row in rows if row.get("details")]
    undone = [row["rolled_back_at"] for row in rows if row["rolled_back_at"] is not None]
    statements = [one for detail in details for one in detail["statements"]]
    who = details[0] if details else {}
    return MigrationRun(
        key=f"{number}.0",
        state=_state(rows, len(undone)),
        batch=rows[0]["batch"] or None,
        migrations=tuple(row["name"] for row in rows),
        started_at=min(row["started_at"] for row in rows),
        duration=sum(row["duration"] for row in rows),
        undone_at=max(undone) if len(undone) == len(rows) else None,
        host=who.get("host"),
        pid=who.get("pid"),
        release=rows[0].get("release"),
        waited=who.get("waited", 0.0),
        retries=max((detail["retries"] for detail in details), default=0),
        statements=tuple(sorted(statements, key=lambda one: -one["seconds"])),
        notes=tuple(row["note"] for row in rows if row.get("note")),
        backup=who.get("backup"),
    )


def _state(rows: list[RowMapping], undone: int) -> RunState:
    if undone:
        return RunState.ROLLED_BACK if undone == len(rows) else RunState.PARTLY_ROLLED_BACK
    taken_over = all(row["batch"] == BASELINE for row in rows)
    return RunState.TAKEN_OVER if taken_over else RunState.APPLIED


def _other_run(number: int, kept: Kept) -> MigrationRun:
    ended_at = datetime.fromisoformat(kept["at"])
    has_failed = kept["state"] == RunState.FAILED
    return MigrationRun(
        key=f"{number}.{kept['number']}",
        state=RunState(kept["state"]),
        batch=None,
        migrations=tuple(kept["migrations"]),
        started_at=ended_at - timedelta(seconds=kept["seconds"]),
        duration=kept["seconds"],
        undone_at=ended_at if kept["state"] == RunState.ROLLED_BACK else None,
        host=kept["host"],
        pid=kept["pid"],
        release=kept["release"],
        error={key: kept[key] for key in ERROR_KEYS} if has_failed else None,
        times=kept["times"],
        held_by=tuple(kept["held_by"]),
        tenants=kept["tenants"],
        tenants_failed=kept["tenants_failed"],
        backup=kept["backup"],
    )
