"""What the engine answers with."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from ..errors import ActionableError


class MigrationError(ActionableError):
    """A migration matter that a person must settle: problem, impact, solution."""

    def __init__(self, problem: str, impact: str, solution: str) -> None:
        super().__init__("migration", problem, impact, solution)


def cause(error: BaseException) -> str:
    """The kind of an error and the first line it says, in the driver's words where it has any."""
    said = str(getattr(error, "orig", None) or error).strip().splitlines()
    return ": ".join([type(error).__name__, *said[:1]])


@dataclass(frozen=True)
class MigrationResult:
    """What a run did.

    Attributes:
        success: whether everything asked for was done; also when there was nothing to do.
        batch: the batch that was run or rolled back, or None when nothing was.
        migrations: names of the migrations that were run or rolled back and are so still,
            in the order in which that happened.
        error: why it stopped, when ``success`` is false.
        duration: seconds, the wait for other migrators included.
    """

    success: bool
    batch: int | None = None
    migrations: tuple[str, ...] = ()
    error: MigrationError | None = None
    duration: float = 0.0

    def raise_for_error(self) -> Self:
        """This result again.

        Raises:
            MigrationError: the run did not succeed.
        """
        if self.error is not None:
            raise self.error
        return self


@dataclass(frozen=True)
class CompletedMigration:
    """A migration that this database has.

    Attributes:
        batch: None when it was not the engine that applied it (``alembic stamp``).
        applied_at: when it began, in UTC.
        duration: seconds.
        changed: its file is not the one that was applied.
        missing: its file is gone.
    """

    name: str
    revision: str
    batch: int | None = None
    applied_at: datetime | None = None
    duration: float | None = None
    changed: bool = False
    missing: bool = False


@dataclass(frozen=True)
class MigrationStatus:
    """Where a database stands: ``completed`` oldest first, ``pending`` next first."""

    completed: tuple[CompletedMigration, ...]
    pending: tuple[str, ...]

    @property
    def current(self) -> str | None:
        """The revision of the newest completed migration."""
        return self.completed[-1].revision if self.completed else None

    @property
    def at_head(self) -> bool:
        """Whether nothing is left to run."""
        return not self.pending


@dataclass(frozen=True)
class NewMigration:
    """A file that ``make_migration`` wrote.

    Attributes:
        note: why the file is blank, when it was meant to be filled in and is not.
    """

    path: Path
    revision: str
    note: str | None = None


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
