"""The progress of a command over all tenants: a bar on a terminal, otherwise lines."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import ActionableError
from ..migrate import MigrationConfig, Observer, Several, Silent
from ..words import count

if TYPE_CHECKING:
    from rich.progress import Progress

LINE_SECONDS = 5.0


@contextmanager
def tenants_shown(config: MigrationConfig) -> Iterator[MigrationConfig]:
    """The configuration for runs that also show the progress of the tenants."""
    if not sys.stderr.isatty():
        yield replace(config, observer=Several(config.observer, Lines()))
        return
    from rich.console import Console
    from rich.progress import Progress

    bar = Progress(console=Console(stderr=True), transient=True)
    try:
        yield replace(config, observer=Several(config.observer, TenantBar(bar)))
    finally:
        bar.stop()


class TenantBar(Silent):
    """A bar with the number of finished tenants. The shared schema's run has its own bar."""

    def __init__(self, bar: "Progress") -> None:
        self._bar = bar
        self._task = bar.add_task("Tenants", total=None)

    def tenant_finished(self, tenant: str, error: ActionableError | None, total: int) -> None:
        self._bar.start()
        self._bar.update(self._task, advance=1, total=total)
        if self._bar.finished:
            self._bar.stop()
            # Tenants that waited for a backfill continue after it.
            self._bar.reset(self._task, start=False)


class Lines(Silent):
    """Progress for a log: the finished tenants every few seconds, and failures at once."""

    def __init__(self) -> None:
        self.done = 0
        self.said_at = time.monotonic()

    def tenant_finished(self, tenant: str, error: ActionableError | None, total: int) -> None:
        self.done += 1
        if error is not None:
            print(f"{tenant}: {error.problem}", file=sys.stderr)
        if self.done == total or time.monotonic() - self.said_at >= LINE_SECONDS:
            self.said_at = time.monotonic()
            print(f"{self.done} of {count(total, 'tenant')}", file=sys.stderr)
        if self.done == total:  # tenants that waited for a backfill continue after it
            self.done = 0


class RoleLines(Observer):
    """A line for each tenant that has got its role."""

    def tenant_finished(self, tenant: str, error: ActionableError | None, total: int) -> None:
        print(f"{tenant} has its role")
