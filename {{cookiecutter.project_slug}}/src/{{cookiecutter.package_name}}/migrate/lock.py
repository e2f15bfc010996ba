"""The lock that allows one migrator at a time, across processes, machines and replicas.

The lock is in the database and ends with its holder: after a killed process nobody needs to
remove anything.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

from sqlalchemy import Engine

from . import errors
from .backends import backend
from .backends.common import MigrationLock, check_engine
from .events import Observer
from .results import LockHolder

POLL_SECONDS = 0.1
REMIND_SECONDS = 10.0
JUST_FINISHED = "one that has just begun or ended"

# Alembic keeps the running migration in a module global, so threads must take turns too.
_one_thread = RLock()


@contextmanager
def migration_lock(
    engine: Engine, timeout: float, scope: str = "", observer: Observer | None = None
) -> Iterator[MigrationLock]:
    """Hold the lock.

    Args:
        timeout: seconds to wait for it.
        scope: the name of the scope; "" is the database.
        observer: is told when another migrator has the lock.

    Raises:
        ActionableError: lock-timeout; database-away.
    """
    deadline = time.monotonic() + timeout
    if not _one_thread.acquire(timeout=timeout):
        raise errors.lock_timeout("another thread of this process", timeout)
    lock: MigrationLock | None = None
    try:
        lock = backend.Lock(engine, scope)
        _wait(lock, deadline, timeout, observer or Observer())
        yield lock
    finally:
        if lock is not None:
            lock.release()
        _one_thread.release()


def _wait(lock: MigrationLock, deadline: float, timeout: float, observer: Observer) -> None:
    remind_at = 0.0
    while not lock.acquire():
        now = time.monotonic()
        if now >= deadline:
            raise errors.lock_timeout(lock.holder() or JUST_FINISHED, timeout)
        if now >= remind_at:
            observer.waiting(lock.holder() or JUST_FINISHED)
            remind_at = now + REMIND_SECONDS
        time.sleep(POLL_SECONDS)


def get_lock_holder(engine: Engine) -> LockHolder | None:
    """The current migrator.

    Raises:
        ActionableError: the database does not answer.
    """
    check_engine(engine, backend.DIALECT, backend.DRIVER)
    return backend.Lock(engine).holder()


def unlock(engine: Engine) -> LockHolder | None:
    """End the session of the current migrator, and the session that runs its statements.

    Raises:
        ActionableError: cannot-end-holder: SQLite cannot end another process's session.
    """
    check_engine(engine, backend.DIALECT, backend.DRIVER)
    return backend.Lock(engine).end_holder()
