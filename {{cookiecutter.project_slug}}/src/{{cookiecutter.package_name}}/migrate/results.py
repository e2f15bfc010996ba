"""The results of the engine's functions."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Self

from ..errors import ActionableError
from ..words import count
from .errors import NOTHING_RUN


class RunState(StrEnum):
    """How a run ended.

    Attributes:
        TAKEN_OVER: the engine did not run it, but found it applied.
        PARTLY_ROLLED_BACK: some of its migrations were undone.
        FAILED: it was refused or interrupted, or a migration or a tenant failed.
        HELD_BACK: its first contract could not run yet.
    """

    APPLIED = "applied"
    ROLLED_BACK = "rolled back"
    PARTLY_ROLLED_BACK = "partly rolled back"
    TAKEN_OVER = "taken over"
    FAILED = "failed"
    HELD_BACK = "held back"


def after_progress(error: ActionableError) -> ActionableError:
    """The same error for a run that had migrated something before: nothing of it was undone."""
    if not error.impact.startswith(NOTHING_RUN.rstrip(".")):
        return error
    return ActionableError(
        error.code, error.problem, "What was done before it stays.", error.solution
    )


class Failable:
    """A result that may have an error."""

    error: ActionableError | None

    def raise_for_error(self) -> Self:
        """Return this result.

        Raises:
            ActionableError: the run failed.
        """
        if self.error is not None:
            raise self.error
        return self


@dataclass(frozen=True)
class MigrationResult(Failable):
    """The result of a run.

    Attributes:
        success: whether everything was done; also true if there was nothing to do.
        batch: number of the batch that was run or rolled back; None for none.
        migrations: names of the migrations that were run or rolled back, in this order, as
            recorded by the database.
        error: why it stopped, if ``success`` is false.
        duration: seconds, including the wait for other migrators.
        baseline: for a rollback, names of migrations that were taken over or squashed, and stay.
        ahead: migrations that a newer release has applied; then nothing was run.
        held_back: names of the first contract that may not run yet, and of all migrations after
            it.
        held_by: the reasons for the wait.
        has_backfills: whether a backfill is applied, which may be unfinished.
    """

    success: bool
    batch: int | None = None
    migrations: tuple[str, ...] = ()
    error: ActionableError | None = None
    duration: float = 0.0
    baseline: tuple[str, ...] = ()
    ahead: tuple[str, ...] = ()
    held_back: tuple[str, ...] = ()
    held_by: tuple[str, ...] = ()
    has_backfills: bool = False

    def joined(self, later: Self) -> Self:
        """This run and a later one as one."""
        error = later.error
        if error is not None and self.migrations:
            error = after_progress(error)
        return replace(
            later,
            error=error,
            batch=later.batch or self.batch,
            migrations=self.migrations + later.migrations,
            duration=self.duration + later.duration,
        )


@dataclass(frozen=True)
class CompletedMigration:
    """An applied migration.

    Attributes:
        batch: None if the engine did not run it: it was taken over (``alembic stamp``).
        applied_at: its start, in UTC.
        duration: seconds.
        changed: the code of its file has changed since it was applied.
        missing: no file has its revision.
        ahead: no file has its revision, because a newer release applied it.
        phase: ``expand``, ``backfill`` or ``contract``.
        release: the version of the service that applied it, if known.
    """

    name: str
    revision: str
    batch: int | None = None
    applied_at: datetime | None = None
    duration: float | None = None
    changed: bool = False
    missing: bool = False
    ahead: bool = False
    phase: str = "expand"
    release: str | None = None


@dataclass(frozen=True)
class BackfillProgress:
    """The progress of a backfill.

    Attributes:
        migration: the name of its migration.
        done: finished rows.
        total: rows at its start; None before that.
        seconds: time of work so far, without pauses.
        error: the error that stopped it, until it continues.
        tenants: number of tenants that have it; 0 without tenants.
        tenants_left: number of tenants in which it is unfinished.
    """

    migration: str
    revision: str
    table: str
    done: int = 0
    total: int | None = None
    seconds: float = 0.0
    finished: bool = False
    error: str | None = None
    tenants: int = 0
    tenants_left: int = 0

    @property
    def rate(self) -> float | None:
        """Rows per second; None before the first row."""
        return self.done / self.seconds if self.done and self.seconds else None

    @property
    def left(self) -> float | None:
        """Seconds for the rest at this rate; None if unknown."""
        if self.total is None or self.rate is None:
            return None
        return max(0, self.total - self.done) / self.rate

    def __str__(self) -> str:
        where = f" in {count(self.tenants, 'tenant')}" if self.tenants else ""
        if self.total is None and not self.done:
            return f"the backfill of {self.table}{where}, which has not begun"
        rows = "rows" if self.total is None else f"of {count(self.total, 'row')}"
        left = f", {count(self.tenants_left, 'tenant')} left" if self.tenants else ""
        return f"the backfill of {self.table}{where}: {self.done} {rows}{left}"


@dataclass(frozen=True)
class BackfillsResult(Failable):
    """The result of running the applied backfills.

    Attributes:
        success: whether none failed; also true if some are unfinished.
        unfinished: the backfills with work left, as the database says; empty after an error.
        error: why it stopped, if ``success`` is false.
    """

    success: bool
    unfinished: tuple[BackfillProgress, ...] = ()
    error: ActionableError | None = None


@dataclass(frozen=True)
class SeedsResult(Failable):
    """The result of running seeds.

    Attributes:
        success: whether all ran.
        seeds: the names of the seeds that ran, in this order.
        error: why it stopped, if ``success`` is false.
    """

    success: bool
    seeds: tuple[str, ...] = ()
    error: ActionableError | None = None


@dataclass(frozen=True)
class MigrationStatus:
    """Applied and missing migrations of a database.

    Attributes:
        completed: applied migrations, oldest first.
        pending: names of migrations that can be run, next first.
        held_back: names of the first contract that may not run yet, and of all migrations after
            it.
        held_by: the reasons for the wait.
        phases: the phase of each migration in ``pending`` and ``held_back``, by name.
        backfills: unfinished backfills, oldest first.
        problem: why nothing can be run: files are missing or have changed, or a newer release
            applied a contract.
    """

    completed: tuple[CompletedMigration, ...]
    pending: tuple[str, ...]
    problem: ActionableError | None = None
    held_back: tuple[str, ...] = ()
    held_by: tuple[str, ...] = ()
    phases: Mapping[str, str] = field(default_factory=dict)
    backfills: tuple[BackfillProgress, ...] = ()

    @property
    def needed(self) -> tuple[str, ...]:
        """Names of missing migrations that this release needs: those that only add something."""
        waiting = (*self.pending, *self.held_back)
        return tuple(name for name in waiting if self.phases.get(name, "expand") == "expand")

    @property
    def current(self) -> str | None:
        """The revision of the newest completed migration."""
        return self.completed[-1].revision if self.completed else None

    @property
    def unknown_contracts(self) -> tuple[str, ...]:
        """The contracts of a newer release, with which this release cannot work."""
        return tuple(
            migration.name
            for migration in self.completed
            if (migration.ahead or migration.missing) and migration.phase == "contract"
        )

    @property
    def at_head(self) -> bool:
        """Whether nothing can be run now."""
        return not self.pending


@dataclass(frozen=True)
class ModelDifference:
    """A difference between the models and the database.

    Attributes:
        text: the operation that removes the difference: ``add column users.avatar_url``.
        drops: whether the operation removes something.
        left_out: whether the file has it only as a comment.
    """

    text: str
    drops: bool = False
    left_out: bool = False


@dataclass(frozen=True)
class NewMigration:
    """A file that ``make_migration`` wrote.

    Attributes:
        differences: the differences between the models and the database.
        note: the reason why the file is blank although it should not be.
        online: the second file, with the operations that must run outside a transaction; None if
            there are none, or no others.
        other_tools: existing bookkeeping tables that were not touched, by name, each with its tool.
    """

    path: Path
    revision: str
    differences: tuple[ModelDifference, ...] = ()
    note: str | None = None
    online: Path | None = None
    other_tools: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LockHolder:
    """The current migrator.

    Attributes:
        process: the id of the database session (PostgreSQL) or of the process (SQLite).
        since: None if the database does not show it to this role.
    """

    process: int
    name: str
    since: datetime | None

    def __str__(self) -> str:
        since = f" since {self.since:%Y-%m-%d %H:%M:%S} UTC" if self.since else ""
        return f"{self.name} (process {self.process}){since}"
