"""The events of a run. Progress bars, logs, metrics and traces listen; they are not known here."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ActionableError
from ..words import count

if TYPE_CHECKING:
    from .results import BackfillProgress, LockHolder, MigrationResult

log = logging.getLogger(__name__)


class Observer:
    """Gets each event of a run, in the thread of the run. Override the methods that you need.

    Tenants are migrated, and the files of a backup written, in several threads: then
    ``tenant_finished`` and ``step_started`` come from each of them, the former never twice at once.

    A method that raises ends the run like a failed migration: keep them simple.
    """

    def waiting(self, holder: "LockHolder | str") -> None:
        """Another migrator has the lock. Called at once and then every ten seconds."""
        log.warning("Waiting for another migrator: %s", holder)

    def retrying(self, retries_left: int) -> None:
        """A table was locked for longer than a statement may wait; the run is tried again."""
        log.warning("A table is still locked; trying again (%d left)", retries_left)

    def run_started(self, names: Sequence[str], *, is_upgrade: bool) -> None:
        """These migrations are about to run or to be undone, in this order; at least one."""

    def schema_ahead(self, migrations: Sequence[str]) -> None:
        """A newer release has applied these. This release applies nothing, and works with them."""
        log.warning(
            "The schema is ahead of this release by %s: %s",
            count(len(migrations), "migration"),
            ", ".join(migrations),
        )

    def migration_started(self, name: str, *, is_upgrade: bool) -> None:
        """The body of a migration is about to run."""

    def migration_finished(self, name: str, seconds: float, *, is_upgrade: bool) -> None:
        """The body of a migration has run. It may still be undone with the rest of its batch."""

    def statement_finished(self, statement: str, seconds: float, rows: int | None) -> None:
        """A migration's body has executed a statement.

        Args:
            statement: as the driver got it, without bound values, but with values that the file
                itself wrote into it.
            rows: number of rows written or returned; None if the driver does not report it.
        """

    def backfill_progressed(self, progress: "BackfillProgress") -> None:
        """A chunk of a backfill was committed; the last event says that it is finished."""

    def chunk_finished(self, migration: str, seconds: float, *, failed: bool) -> None:
        """A chunk of a migration's backfill was committed, or failed and was undone."""

    def for_tenant(self, tenant: str) -> "Observer":
        """The observer for the migrations of one of many tenants."""
        return self

    def tenant_finished(self, tenant: str, error: ActionableError | None, total: int) -> None:
        """One of ``total`` tenants was migrated, rolled back or given its role, or it failed."""

    def step_started(self, step: str) -> None:
        """A step of a backup or of a restore is about to run: a sentence for people."""

    def run_finished(self, result: "MigrationResult") -> None:
        """A run has ended, with or without success."""


class Silent(Observer):
    """Logs nothing itself: for additional observers."""

    def waiting(self, holder: "LockHolder | str") -> None:
        pass

    def retrying(self, retries_left: int) -> None:
        pass

    def schema_ahead(self, migrations: Sequence[str]) -> None:
        pass


class Several(Observer):
    """Passes each event to several observers. Only one of them should log by itself."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def waiting(self, holder: "LockHolder | str") -> None:
        self._tell("waiting", holder)

    def retrying(self, retries_left: int) -> None:
        self._tell("retrying", retries_left)

    def run_started(self, names: Sequence[str], *, is_upgrade: bool) -> None:
        self._tell("run_started", names, is_upgrade=is_upgrade)

    def schema_ahead(self, migrations: Sequence[str]) -> None:
        self._tell("schema_ahead", migrations)

    def migration_started(self, name: str, *, is_upgrade: bool) -> None:
        self._tell("migration_started", name, is_upgrade=is_upgrade)

    def migration_finished(self, name: str, seconds: float, *, is_upgrade: bool) -> None:
        self._tell("migration_finished", name, seconds, is_upgrade=is_upgrade)

    def statement_finished(self, statement: str, seconds: float, rows: int | None) -> None:
        self._tell("statement_finished", statement, seconds, rows)

    def backfill_progressed(self, progress: "BackfillProgress") -> None:
        self._tell("backfill_progressed", progress)

    def chunk_finished(self, migration: str, seconds: float, *, failed: bool) -> None:
        self._tell("chunk_finished", migration, seconds, failed=failed)

    def for_tenant(self, tenant: str) -> Observer:
        return Several(*(observer.for_tenant(tenant) for observer in self._observers))

    def tenant_finished(self, tenant: str, error: ActionableError | None, total: int) -> None:
        self._tell("tenant_finished", tenant, error, total)

    def step_started(self, step: str) -> None:
        self._tell("step_started", step)

    def run_finished(self, result: "MigrationResult") -> None:
        self._tell("run_finished", result)

    def _tell(self, event: str, *arguments: Any, **named: Any) -> None:
        for observer in self._observers:
            getattr(observer, event)(*arguments, **named)
