"""The state of the service's migrations in one object. Add further values here."""

from dataclasses import dataclass

from sqlalchemy import Engine

from ..errors import ActionableError
from ..migrate import (
    Instance,
    MigrationConfig,
    MigrationRun,
    MigrationStatus,
    RunState,
    get_instances,
    get_migration_status,
    read_runs,
)
from ..migrations.target import count_tenants
from ..words import are, count

RUNS_SHOWN = 20


@dataclass(frozen=True)
class Overview:
    """The data of the page and the metrics.

    Attributes:
        runs: the newest, newest first.
        instances: the serving processes, without those that count as dead.
        tenants: revision, state, and the number of tenants with both; None without tenants.
    """

    status: MigrationStatus
    runs: list[MigrationRun]
    instances: list[Instance]
    tenants: list[tuple[str | None, str, int]] | None

    @property
    def problem(self) -> ActionableError | None:
        """The error that prevents a run."""
        return self.status.problem

    @property
    def behind(self) -> int:
        """The number of tenants that are not ready at the revision of the shared schema."""
        here = (self.status.current, "ready")
        return sum(
            number for revision, state, number in self.tenants or () if (revision, state) != here
        )

    @property
    def is_well(self) -> bool:
        """Whether nothing needs attention."""
        return not (self.problem or self.status.pending or self.behind or self.has_stopped)

    @property
    def has_stopped(self) -> bool:
        """Whether an error stopped a backfill."""
        return any(one.error for one in self.status.backfills)

    @property
    def sentence(self) -> str:
        """The state in one sentence."""
        parts = []
        if self.problem is not None:
            parts.append(self.problem.problem.rstrip("."))
        if self.status.pending:
            parts.append(are(len(self.status.pending), "migration", "pending"))
            if self.runs and self.runs[0].state is RunState.FAILED:
                parts.append("the last run failed")
        if self.status.held_back:
            parts.append(are(len(self.status.held_back), "migration", "held back"))
        if self.status.backfills:
            how = ", stopped by an error" if self.has_stopped else ""
            parts.append(are(len(self.status.backfills), "backfill", f"not finished{how}"))
        if self.behind:
            parts.append(are(self.behind, "tenant", "not up to date"))
        if not parts:
            parts.append(f"{count(len(self.status.completed), 'migration')} applied, none pending")
        return "; ".join(parts) + "."


def living_instances(engine: Engine, config: MigrationConfig) -> list[Instance]:
    """The serving processes, oldest first.

    Raises:
        ActionableError: the database does not answer.
    """
    return [one for one in get_instances(engine, config=config) if not one.is_gone]


def read_overview(engine: Engine, config: MigrationConfig) -> Overview:
    """Read the overview from the database.

    Raises:
        ActionableError: the database does not answer, or the folder is not in order.
    """
    return Overview(
        status=get_migration_status(engine, config=config),
        runs=read_runs(engine, config=config, limit=RUNS_SHOWN),
        instances=living_instances(engine, config),
        tenants=count_tenants(engine),
    )
