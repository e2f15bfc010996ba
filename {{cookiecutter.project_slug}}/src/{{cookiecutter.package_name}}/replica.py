"""This process as one of several: it registers, and sends a heartbeat every ten seconds.

While its last heartbeat is stale it is not ready and answers no requests: it may count as dead, and
a contract may have run.
"""

import asyncio
import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import structlog
from sqlalchemy import Engine, StaticPool
from sqlalchemy.exc import SQLAlchemyError

from .database.backend import for_migrations
from .database.session import apart
from .errors import ActionableError, first_line
from .migrate import (
    MigrationConfig,
    Observer,
    Registration,
    Several,
    Silent,
    get_migration_status,
)
from .migrations import config_for
from .migrations.progress import LogProgress
from .migrations.target import REPEATED, bring_up_to_date, fill
from .settings import Settings

BEAT_SECONDS = 10.0
STALE_AFTER_SECONDS = 30.0
WAKING_SECONDS = 2.0
POLL_SECONDS = 0.02

log = structlog.stdlib.get_logger(__name__)


class Replica:
    """This process in the table ``service_instances``.

    With a database in memory there is only one process, which does not register.

    Args:
        observer: gets the events of its contracts and backfills, in addition to the log.

    Raises:
        ActionableError: contract-unknown: a newer release has removed something that this one uses;
            cannot-register; lock-timeout, a contract runs.
        sqlalchemy.exc.SQLAlchemyError: the database does not answer.
    """

    def __init__(
        self, engine: Engine, settings: Settings, observer: Observer | None = None
    ) -> None:
        self._pool = engine
        self._settings = settings
        observers = Several(LogProgress(), observer or Silent())
        self._config = replace(config_for(settings), observer=observers, runs_backfills=False)
        self._closing = threading.Event()
        self._is_alone = isinstance(engine.pool, StaticPool)
        self._engine = apart(engine)
        self._row = Registration(self._engine, self._config)
        self._beat_at = _now()
        self._missed_since = self._wait_until = 0.0
        self._is_counted = True
        self._repeated: list[Repeated] = []
        if self._is_alone:
            return
        self._row.register()
        self._repeated = [Repeated("heartbeat", BEAT_SECONDS, self._beat)]
        if settings.runs_contracts:
            # A random delay, because several processes may have started together.
            seconds = settings.auto_contract_interval * random.uniform(0.9, 1.1)
            self._repeated.append(Repeated("contracts", seconds, self._try_contracts))
        if settings.auto_migrate:
            seconds = settings.auto_contract_interval
            for name, act in {"backfills": self._fill, **REPEATED}.items():
                self._repeated.append(Repeated(name, seconds, partial(self._migrate, act)))

    @property
    def silence(self) -> float:
        """Seconds since the last beat, by this process's clock."""
        return 0.0 if self._is_alone else _now() - self._beat_at

    @property
    def is_stale(self) -> bool:
        """Whether it counts as dead, or may do so soon."""
        return not self._is_counted or self.silence > STALE_AFTER_SECONDS

    async def wake(self) -> bool:
        """Wait briefly for a heartbeat if the process was suspended; return whether it may serve.

        Requests that come after this moment do not wait: then it is the database that is away.
        """
        if self.is_stale and self._missed_since != self._beat_at:
            self._missed_since = self._beat_at
            self._wait_until = time.monotonic() + WAKING_SECONDS
        while self.is_stale and time.monotonic() < self._wait_until:
            await asyncio.sleep(POLL_SECONDS)
        return not self.is_stale

    def close(self) -> None:
        """Remove the registration: this process ends."""
        self._closing.set()
        for repeated in self._repeated:
            repeated.stop()
        if self._is_alone:
            return
        try:
            self._row.remove()
        except SQLAlchemyError as error:
            log.warning(
                "This instance still counts as alive for a minute", reason=first_line(error)
            )
        self._engine.dispose()

    def _beat(self) -> None:
        began = _now()
        self._is_counted = self._row.beat()
        if not self._is_counted:
            log.warning("This instance counted as dead, and registers again")
            self._row.register()
            self._is_counted = True
        self._beat_at = began

    def _try_contracts(self) -> None:
        status = get_migration_status(self._pool, config=self._config)
        if status.pending and status.phases[status.pending[0]] == "contract":
            self._migrate(bring_up_to_date)

    def _migrate(self, act: Callable[[Engine, MigrationConfig], None]) -> None:
        with for_migrations(self._pool, self._settings) as engine:
            act(engine, self._config)

    def _fill(self, engine: Engine, config: MigrationConfig) -> None:
        fill(engine, config, self._closing.is_set)


class Repeated:
    """Calls a function repeatedly in a separate thread. A failure is logged, and it is tried again.

    Args:
        seconds: between the starts of two calls.
    """

    def __init__(self, name: str, seconds: float, act: Callable[[], None]) -> None:
        self._name = name
        self._seconds = seconds
        self._act = act
        self._ended = threading.Event()
        # A daemon thread: its work is a transaction, which is undone when the process ends.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Start no more calls; wait a moment for a running one."""
        self._ended.set()
        self._thread.join(timeout=1)

    def _run(self) -> None:
        while not self._ended.wait(self._seconds):
            try:
                self._act()
            except ActionableError as error:
                log.error(error.problem, **error.details())
            except SQLAlchemyError as error:
                log.warning(f"The {self._name} failed", reason=first_line(error))


def _now() -> float:
    """Monotonic seconds; they include the time for which the machine slept, if a clock does."""
    clock = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
    return time.monotonic() if clock is None else time.clock_gettime(clock)
