"""How much is done at once, and how much may wait.

The rule behind it: whoever holds a connection waits for nothing but the database. So a request
waits for its place first, holding nothing; a place stands for a thread and a connection that are
free. Hashing and mail take long and need neither: each has a lane, and threads, of its own.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from ..settings import Settings
from . import errors

PATIENCE_SECONDS = 10.0
MAIL_AT_ONCE = 4
MAIL_WAITING = 10_000
COUNTING_AT_ONCE = 8

P = ParamSpec("P")
T = TypeVar("T")


class Lane:
    """So many at once, so many waiting in the order in which they came: ``async with`` a place.

    Args:
        at_once: places, each with a thread.
        waiting: how many may wait for a place; whoever comes then is refused at once.
        patience: seconds that one may wait; None for as long as it takes.
    """

    def __init__(
        self, name: str, at_once: int, waiting: int, patience: float | None = PATIENCE_SECONDS
    ) -> None:
        self._places = asyncio.Semaphore(at_once)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix=name)
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
        """Wait for a place, and do the work in its thread.

        Raises:
            HttpError: 503, too many wait already, or the wait took too long.
        """
        async with self:
            return await self.in_thread(work, *args, **kwargs)

    async def in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do the work in a thread. For those who have a place: its thread is free."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        context = copy_context()  # the log's request id goes along

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
        """Take no more work. What a thread does now, it finishes."""
        self._threads.shutdown(wait=False, cancel_futures=True)


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
        database: a place for each connection of the pool.
        hashing: a place for each processor; more would only share them.
        mail: mail servers take their time.
        counting: for attempts that are counted elsewhere, by RATE_LIMIT_STORAGE_URL.
    """

    database: Lane
    hashing: Lane
    mail: Lane
    counting: Lane

    @classmethod
    def open(cls, settings: Settings) -> "Lanes":
        """The lanes that the settings ask for. Call it where the event loop runs."""
        waiting = settings.max_waiting_requests
        return cls(
            Lane("database", settings.db_pool_max, waiting),
            Lane("hashing", os.cpu_count() or 1, settings.max_waiting_sign_ins),
            Lane("mail", MAIL_AT_ONCE, MAIL_WAITING, patience=None),
            Lane("counting", COUNTING_AT_ONCE, waiting),
        )

    def close(self) -> None:
        """Take no more work."""
        for lane in (self.database, self.hashing, self.mail, self.counting):
            lane.close()
