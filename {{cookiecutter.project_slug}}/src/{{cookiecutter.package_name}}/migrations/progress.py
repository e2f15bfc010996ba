"""Logs the migrations of a run while it runs."""

import time
from collections.abc import Sequence

import structlog

from ..migrate import BackfillProgress, Observer
from ..words import count

BACKFILL_SECONDS = 10.0  # between two lines about one backfill

log = structlog.stdlib.get_logger(__name__)


class LogProgress(Observer):
    """Log lines for a run: all migrations, the current one, and the duration of each.

    A migration of a single tenant is logged at DEBUG: there may be thousands.
    """

    def __init__(self, tenant: str | None = None) -> None:
        self._about = {} if tenant is None else {"tenant": tenant}
        self._log = log.info if tenant is None else log.debug
        self._names: Sequence[str] = ()
        self._told_at = -BACKFILL_SECONDS

    def run_started(self, names: Sequence[str], *, is_upgrade: bool) -> None:
        self._names = names
        doing = "Applying" if is_upgrade else "Undoing"
        self._log(f"{doing} {count(len(names), 'migration')}", first=names[0], **self._about)

    def migration_started(self, name: str, *, is_upgrade: bool) -> None:
        place = f"{self._names.index(name) + 1} of {len(self._names)}"
        self._log(f"{name} runs", place=place, **self._about)

    def migration_finished(self, name: str, seconds: float, *, is_upgrade: bool) -> None:
        self._log(f"{name} has run", seconds=round(seconds, 3), **self._about)

    def backfill_progressed(self, progress: BackfillProgress) -> None:
        now = time.monotonic()
        if not progress.finished and now - self._told_at < BACKFILL_SECONDS:
            return
        self._told_at = now
        log.info(
            f"{progress.migration} {'is finished' if progress.finished else 'goes on'}",
            table=progress.table,
            done=progress.done,
            total=progress.total,
            rate=progress.rate and round(progress.rate),
            left=progress.left and round(progress.left),
            **({"tenants_left": progress.tenants_left} if progress.tenants else {}),
        )

    def for_tenant(self, tenant: str) -> "LogProgress":
        return LogProgress(tenant)
