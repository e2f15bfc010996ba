"""The progress of a command: a bar for the migrations of one schema; lines for a backup."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..migrate import Observer, Several, Silent
from ..words import count

if TYPE_CHECKING:
    from rich.progress import Progress

    from ..migrate import BackfillProgress
    from ..settings import Settings


class Bar(Observer):
    """Shows the running migration, its number, the total, and the time so far.

    It disappears when the run has ended; the command's output stays.
    """

    def __init__(self) -> None:
        self._shown: Progress | None = None
        self._names: Sequence[str] = ()
        self._filling: str | None = None

    def run_started(self, names: Sequence[str], *, is_upgrade: bool) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        self.close()
        self._names = names
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
        self._shown = Progress(
            *columns,
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._shown.add_task("", total=len(names))
        self._shown.start()

    def migration_started(self, name: str, *, is_upgrade: bool) -> None:
        if self._shown is not None:
            place = self._names.index(name)  # after a retry it may be an earlier one
            self._shown.update(self._task, description=name, completed=place)

    def migration_finished(self, name: str, seconds: float, *, is_upgrade: bool) -> None:
        if self._shown is not None:
            self._shown.update(self._task, completed=self._names.index(name) + 1)

    def backfill_progressed(self, progress: "BackfillProgress") -> None:
        if self._filling != progress.migration:
            self.run_started([progress.migration], is_upgrade=True)
            self._filling = progress.migration
        if self._shown is not None:
            left = f", {count(progress.tenants_left, 'tenant')} left" if progress.tenants else ""
            self._shown.update(
                self._task,
                description=f"{progress.migration}: rows of {progress.table}{left}",
                completed=progress.done,
                total=progress.total,
            )
        if progress.finished:
            self.close()

    def for_tenant(self, tenant: str) -> Observer:
        return Observer()  # tenants have a separate bar, see ``cli.tenant``

    def run_finished(self, result: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the bar from the terminal."""
        if self._shown is not None:
            self._shown.stop()
            self._shown = None
        self._filling = None


class StepLines(Observer):
    """A line for each step of a backup or of a restore."""

    def step_started(self, step: str) -> None:
        print(step, file=sys.stderr, flush=True)


@contextmanager
def observing(settings: "Settings") -> Iterator[Observer]:
    """The observers of a command's runs: a bar if standard error is a terminal, and traces."""
    from ..operations.tracing import tracing_for

    bar, tracing = Bar(), tracing_for(settings)
    try:
        yield Several(
            bar if sys.stderr.isatty() else Observer(),
            Silent() if tracing is None else tracing.observer(),
        )
    finally:
        bar.close()
        if tracing is not None:
            tracing.close()
