"""Statistics of past runs. Reads only; takes no lock."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any

from sqlalchemy import Engine

from ..backends import backend
from ..config import MigrationConfig, default_config
from ..history import history_table, read_columns
from ..results import RunState
from .runs import MigrationRun, read_runs

SLOWEST_STATEMENTS = 10
LEAST_SECONDS = 0.001  # shorter times say nothing about a database
LAST_RUNS = 20  # runs whose statements are considered


@dataclass(frozen=True)
class MigrationTime:
    """The duration of a migration.

    Attributes:
        times: how often it was applied.
        last: seconds, the last time.
        longest: seconds, at most.
    """

    name: str
    times: int
    last: float
    longest: float


@dataclass(frozen=True)
class MigrationStats:
    """Statistics of the history.

    Attributes:
        runs: number of runs that applied something, including undone ones.
        rolled_back: number of these that were undone since, completely or partly.
        failed: number of recorded failures.
        held_back: number of recorded runs that were held back.
        first_at: start of the first run.
        last_at: start of the last run.
        waited: seconds, the longest wait for the lock.
        retries: number of retries because a table was locked.
        migrations: in the order in which they were first applied.
        statements: the slowest statements of the last runs, slowest first, with their
        ``migrations``. tenants: number of tenants that the recorded runs over tenants migrated.
        tenant_seconds: the duration of those runs.
    """

    runs: int
    rolled_back: int
    failed: int
    held_back: int
    first_at: datetime | None
    last_at: datetime | None
    waited: float
    retries: int
    migrations: tuple[MigrationTime, ...]
    statements: tuple[dict[str, Any], ...]
    tenants: int
    tenant_seconds: float

    @property
    def tenants_per_second(self) -> float | None:
        """Tenants per second; None if none were migrated."""
        return self.tenants / self.tenant_seconds if self.tenant_seconds else None


@dataclass(frozen=True)
class TimesCompared:
    """The durations of migrations in two databases.

    Attributes:
        factor: the duration here divided by the duration there, the median of common migrations;
            None if no common migration takes a millisecond.
        migrations: name, and last seconds here and there; None if it never ran.
    """

    factor: float | None
    migrations: tuple[tuple[str, float | None, float | None], ...]

    def expected(self, here: float | None, there: float | None) -> float | None:
        """Estimated seconds here for a migration that ran only there; None if unknown."""
        if here is not None or there is None or self.factor is None:
            return None
        return there * self.factor


def compare_times(here: MigrationStats, there: MigrationStats) -> TimesCompared:
    """Compare the durations of migrations here and in another environment."""
    mine, theirs = ({one.name: one.last for one in stats.migrations} for stats in (here, there))
    names = dict.fromkeys([*mine, *theirs])
    rows = [(name, mine.get(name), theirs.get(name)) for name in names]
    ratios = [
        mine_took / theirs_took
        for _, mine_took, theirs_took in rows
        if mine_took is not None and theirs_took is not None
        if min(mine_took, theirs_took) >= LEAST_SECONDS
    ]
    return TimesCompared(median(ratios) if ratios else None, tuple(rows))


def read_stats(engine: Engine, *, config: MigrationConfig | None = None) -> MigrationStats:
    """Statistics of the whole history.

    Raises:
        ActionableError: the database does not answer.
    """
    config = config or default_config()
    every = read_runs(engine, config=config)
    ran = [run for run in every if run.batch is not None]
    of_tenants = [run for run in every if run.tenants is not None]
    undone = [run for run in ran if run.state is not RunState.APPLIED]
    return MigrationStats(
        runs=len(ran),
        rolled_back=len(undone),
        failed=_times_that(RunState.FAILED, every),
        held_back=_times_that(RunState.HELD_BACK, every),
        first_at=ran[-1].started_at if ran else None,
        last_at=ran[0].started_at if ran else None,
        waited=max((run.waited for run in ran), default=0.0),
        retries=sum(run.retries for run in ran),
        migrations=tuple(_times(engine, config)),
        statements=_slowest(ran[:LAST_RUNS]),
        tenants=sum(run.tenants or 0 for run in of_tenants),
        tenant_seconds=sum(run.duration for run in of_tenants),
    )


def _times_that(state: RunState, runs: Iterable[MigrationRun]) -> int:
    return sum(run.times for run in runs if run.state is state)


def _times(engine: Engine, config: MigrationConfig) -> Iterable[MigrationTime]:
    with backend.reading(engine, config.scope) as connection:
        if not read_columns(connection, config):
            return []
        table = history_table(config.history_table)
        # Migrations that were taken over have no duration.
        ran = table.select().where(table.c.batch > 0).order_by(table.c.id)
        rows = connection.execute(ran.with_only_columns(table.c.name, table.c.duration)).all()
    durations: dict[str, list[float]] = {}
    for name, duration in rows:
        durations.setdefault(name, []).append(duration)
    return [
        MigrationTime(name, len(seconds), seconds[-1], max(seconds))
        for name, seconds in durations.items()
    ]


def _slowest(runs: Iterable[MigrationRun]) -> tuple[dict[str, Any], ...]:
    every = [
        {**statement, "migrations": list(run.migrations)}
        for run in runs
        for statement in run.statements
    ]
    return tuple(sorted(every, key=lambda one: -one["seconds"])[:SLOWEST_STATEMENTS])
