"""Limits on how much work runs at the same time, and on how much work waits.

The rule: a request with a connection waits only for the database. So a request first waits for a
place, without a connection; each place has a free thread and a free connection. Hashing and mail
take long and need no connection: each has a separate lane with its own threads.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from ..settings import Settings
from . import errors

PATIENCE_SECONDS = 10.0
MAIL_AT_ONCE = 4
MAIL_WAITING = 10_000
COUNTING_AT_ONCE = 8
LOWER_BY = 10  # of niceness; the system limits the sum to 19

P = ParamSpec("P")
T = TypeVar("T")


class Lane:
    """A number of places, and a queue for them, first in, first out: ``async with`` takes a place.

    Args:
        at_once: number of places; each has a thread.
        waiting: how many may wait for a place; further ones are refused immediately.
        patience: seconds to wait at most; None for no limit.
        gives_way: whether its threads get a lower priority than all others, where the system can
            do that.
    """

    def __init__(
        self,
        name: str,
        at_once: int,
        waiting: int,
        patience: float | None = PATIENCE_SECONDS,
        *,
        gives_way: bool = False,
    ) -> None:
        self._places = asyncio.Semaphore(at_once)
        self._threads = ThreadPoolExecutor(
            at_once, thread_name_prefix=name, initializer=_lower_priority if gives_way else None
        )
        self._waiting = 0
        self._most_waiting = waiting
        self._patience = patience

    async def __aenter__(self) -> None:
        """Wait for a place.

        Raises:
            HttpError: 503, too many wait already, or the wait took too long.
        """
        if not self._places.locked():
            await self._places.acquire()
            return
        if self._waiting >= self._most_waiting:
            raise errors.service_busy()
        self._waiting += 1
        try:
            async with asyncio.timeout(self._patience):
                await self._places.acquire()
        except TimeoutError:
            raise errors.service_busy() from None
        finally:
            self._waiting -= 1

    async def __aexit__(self, *_: object) -> None:
        """Give it back."""
        self._places.release()

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Wait for a place, and run the work in its thread.

        Raises:
            HttpError: 503, too many wait already, or the wait took too long.
        """
        async with self:
            return await self.in_thread(work, *args, **kwargs)

    async def in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the work in a thread. The caller must have a place, so that a thread is free."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        context = copy_context()  # keeps the request id for the log

        def do() -> None:
            try:
                result = context.run(work, *args, **kwargs)
            except BaseException as error:
                _tell(loop, done, done.set_exception, error)
            else:
                _tell(loop, done, done.set_result, result)

        self._threads.submit(do)
        return await done

    def close(self) -> None:
        """Accept no more work. Running work is finished."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _lower_priority() -> None:
    if sys.platform == "linux":  # elsewhere only a whole process has a priority
        niceness = os.getpriority(os.PRIO_PROCESS, 0) + LOWER_BY
        with suppress(OSError):  # a sandbox may forbid it
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)


def _tell(
    loop: asyncio.AbstractEventLoop,
    done: "asyncio.Future[Any]",
    tell: Callable[[Any], None],
    outcome: Any,
) -> None:
    def unless_nobody_waits() -> None:
        if not done.done():
            tell(outcome)

    loop.call_soon_threadsafe(unless_nobody_waits)


@dataclass(frozen=True)
class Lanes:
    """The lanes of a running service.

    Attributes:
        database: one place for each connection of the pool.
        hashing: one place for each processor but one. A hash takes a quarter of a second of one,
            so the event loop keeps the other, and hashing gives way to it.
        mail: separate, because mail servers are slow.
        counting: for counting attempts in an external storage (RATE_LIMIT_STORAGE_URL).
    """

    database: Lane
    hashing: Lane
    mail: Lane
    counting: Lane

    @classmethod
    def open(cls, settings: Settings) -> "Lanes":
        """Make the lanes according to the settings. Call it in the event loop."""
        waiting = settings.max_waiting_requests
        processors = max(1, (os.cpu_count() or 1) - 1)
        return cls(
            Lane("database", settings.db_pool_max, waiting),
            Lane("hashing", processors, settings.max_waiting_sign_ins, gives_way=True),
            Lane("mail", MAIL_AT_ONCE, MAIL_WAITING, patience=None),
            Lane("counting", COUNTING_AT_ONCE, waiting),
        )

    def close(self) -> None:
        """Accept no more work."""
        for lane in (self.database, self.hashing, self.mail, self.counting):
            lane.close()
