"""What the engine answers with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Self

from ..errors import ActionableError
from ..words import count


class RunState(StrEnum):
    """How a run ended.

    Attributes:
        TAKEN_OVER: the engine did not run it; it found it applied.
        PARTLY_ROLLED_BACK: some of its migrations were undone.
        FAILED: it was refused or interrupted, or a migration failed, or one of the tenants.
        HELD_BACK: its first contract could not run yet.
    """

    APPLIED = "applied"
    ROLLED_BACK = "rolled back"
    PARTLY_ROLLED_BACK = "partly rolled back"
    TAKEN_OVER = "taken over"
    FAILED = "failed"
    HELD_BACK = "held back"


@dataclass(frozen=True)
class MigrationResult:
    """What a run did.

    Attributes:
        success: whether everything asked for was done; also when there was nothing to do.
        batch: number of the batch that was run or rolled back; None when nothing was.
        migrations: names of the migrations that were run or rolled back, in that order, as the
            database has recorded it.
        error: why it stopped, when ``success`` is false.
        duration: seconds, including the wait for other migrators.
        baseline: of an undoing, names of what was taken over or squashed, and stays.
        ahead: what a newer release has applied; then nothing was run.
        held_back: names of what waits behind the first contract that may not run yet, that
            contract first.
        held_by: what it waits for.
        has_backfills: whether a backfill is applied, which may have rows left to do.
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

    def raise_for_error(self) -> Self:
        """This result again.

        Raises:
            ActionableError: the run did not succeed.
        """
        if self.error is not None:
            raise self.error
        return self


@dataclass(frozen=True)
class CompletedMigration:
    """A migration that this database has.

    Attributes:
        batch: None when the engine did not apply it: it was taken over (``alembic stamp``).
        applied_at: when it began, in UTC.
        duration: seconds.
        changed: its file does something else now than when it was applied.
        missing: no file has its revision.
        ahead: no file has its revision, because a newer release applied it.
        phase: ``expand``, ``backfill`` or ``contract``.
        release: the version of the service that applied it, where known.
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
    """How far a backfill is.

    Attributes:
        migration: the name of the migration that states it.
        done: rows that it has passed.
        total: rows that were there when it began; None before.
        seconds: that it has taken so far, without the time in which nobody worked on it.
        error: what stopped it the last time, until it goes on.
        tenants: in how many tenants' schemas it is; 0 where there are none.
        tenants_left: in how many of them it is not finished.
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
        """Rows in a second; None before the first."""
        return self.done / self.seconds if self.done and self.seconds else None

    @property
    def left(self) -> float | None:
        """Seconds that the rest takes at this rate; None where that is not known."""
        if self.total is None or self.rate is None:
            return None
        return max(0, self.total - self.done) / self.rate

    def __str__(self) -> str:
        where = f" in {count(self.tenants, 'tenant')}" if self.tenants else ""
        if self.total is None and not self.done:
            return f"the backfill of {self.table}{where}, which has not begun"
        rows = "rows" if self.total is None else f"of {self.total} rows"
        left = f", {count(self.tenants_left, 'tenant')} left" if self.tenants else ""
        return f"the backfill of {self.table}{where}: {self.done} {rows}{left}"


@dataclass(frozen=True)
class MigrationStatus:
    """What a database has, and what it has not.

    Attributes:
        completed: what is applied, oldest first.
        pending: names of what is not and can be run, next first.
        held_back: names of what waits behind the first contract that may not run yet, that
            contract first.
        held_by: what it waits for.
        phases: the phase of each migration in ``pending`` and ``held_back``, by name.
        backfills: those that are applied and not finished, the oldest first.
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
        """Names of what is not applied and this release needs: all that only adds something."""
        waiting = (*self.pending, *self.held_back)
        return tuple(name for name in waiting if self.phases.get(name, "expand") == "expand")

    @property
    def current(self) -> str | None:
        """The revision of the newest completed migration."""
        return self.completed[-1].revision if self.completed else None

    @property
    def unknown_contracts(self) -> tuple[str, ...]:
        """What a newer release took away, so that this one cannot work."""
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
class Difference:
    """Something in which the models and the database differ.

    Attributes:
        text: what makes the database like the models: ``add column users.avatar_url``.
        drops: whether that removes something.
        left_out: whether the file has it as a comment only.
    """

    text: str
    drops: bool = False
    left_out: bool = False


@dataclass(frozen=True)
class NewMigration:
    """A file that ``make_migration`` wrote.

    Attributes:
        differences: what the models and the database differ in.
        note: why the file is blank, when it was meant to be filled in and is not.
        online: the file that follows it, with what must run outside a transaction; None where
            there is no such thing, or nothing else.
        other_tools: bookkeeping tables that are there and left alone, by name, each with the tool it
            belongs to.
    """

    path: Path
    revision: str
    differences: tuple[Difference, ...] = ()
    note: str | None = None
    online: Path | None = None
    other_tools: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LockHolder:
    """Who migrates now.

    Attributes:
        process: the id of the database session (PostgreSQL) or of the process (SQLite).
        since: None when the database does not tell this role.
    """

    process: int
    name: str
    since: datetime | None

    def __str__(self) -> str:
        since = f" since {self.since:%Y-%m-%d %H:%M:%S} UTC" if self.since else ""
        return f"{self.name} (process {self.process}){since}"
