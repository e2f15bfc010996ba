"""The steps before the port opens, and the check of readiness.

May import: ``replica``, ``migrations``, ``migrate``, ``database``, ``settings``, ``errors``.
Imported by: ``app``, ``cli.serve``, ``web.health``.
"""

import asyncio
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import NoReturn

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from .database.backend import connect, for_migrations, is_away
from .database.errors import unreachable_at_start
from .database.session import apart, ping
from .errors import ActionableError, first_line
from .migrate import Observer, Several, Silent, get_migration_status
from .migrations import config_for
from .migrations.linting import refuse_danger
from .migrations.progress import LogProgress
from .migrations.target import bring_up_to_date, can_serve, fingerprint, look_at_start
from .replica import Replica
from .settings import Settings

READY_FOR_SECONDS = 1.0
READY_TIMEOUT_SECONDS = 2.0

Answer = tuple[bool, str | None]

log = structlog.stdlib.get_logger(__name__)


def start_database(settings: Settings, observer: Observer | None = None) -> Engine:
    """Connect and, if AUTO_MIGRATE is on, migrate.

    Args:
        observer: gets the events of the migrations, in addition to the log.

    Raises:
        ActionableError: the database does not answer, or a migration failed.
    """
    engine = connect(settings)
    try:
        ping(engine)
        if settings.auto_migrate:
            refuse_danger(engine, settings)
            observers = Several(LogProgress(), observer or Silent())
            # A backfill may take hours, so a running replica works on it.
            config = replace(config_for(settings), observer=observers, runs_backfills=False)
            with for_migrations(engine, settings) as migrating:
                bring_up_to_date(migrating, config)
        else:
            tell_what_is_pending(engine, settings)
        look_at_start(engine, config_for(settings))
    except SQLAlchemyError as error:
        engine.dispose()
        raise unreachable_at_start(engine.url.render_as_string(), first_line(error)) from error
    except BaseException:
        engine.dispose()
        raise
    return engine


def register(engine: Engine, settings: Settings, observer: Observer | None = None) -> Replica:
    """Register this process as a serving instance.

    Args:
        observer: gets the events of the migrations that this process runs while it serves, in
        addition to the log.

    Raises:
        ActionableError: the database does not answer, or this release must not serve from it.
    """
    try:
        return Replica(engine, settings, observer)
    except SQLAlchemyError as error:
        engine.dispose()
        raise unreachable_at_start(engine.url.render_as_string(), first_line(error)) from error
    except BaseException:
        engine.dispose()
        raise


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Ctrl-C and SIGTERM raise KeyboardInterrupt at once in here.

    Otherwise the web server would only note the signal and wait until a long migration is done. A
    SIGTERM after the first signal is ignored: the reloader sends one after Ctrl-C, while this
    process rolls back.
    """
    if threading.current_thread() is not threading.main_thread():  # the only one that may do so
        yield
        return

    def stop(_number: int, _frame: object) -> NoReturn:
        signal.signal(signal.SIGTERM, lambda *_: None)  # SIG_IGN races with one under way
        raise KeyboardInterrupt

    signals = (signal.SIGINT, signal.SIGTERM)
    former = {number: signal.signal(number, stop) for number in signals}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def tell_what_is_pending(engine: Engine, settings: Settings) -> None:
    """Log the pending migrations, and applied ones that were edited."""
    try:
        status = get_migration_status(engine, config=config_for(settings))
    except ActionableError as error:
        log.error(error.problem, **error.details())
        return
    if status.unknown_contracts and status.problem:
        log.error(status.problem.problem, **status.problem.details())
    elif ahead := [migration.name for migration in status.completed if migration.ahead]:
        log.warning("The schema is ahead of this release", by=ahead)
    for name in status.pending:
        log.warning(f"{name} is pending", see="migrate latest --sql", apply="migrate latest")
    newest = status.completed[-1:]
    for migration in (migration for migration in status.completed if migration.changed):
        again = "Run it again: migrate down, then migrate latest"
        restore = "Restore it, and write a new migration"
        log.warning(
            f"{migration.name} changed after it was applied",
            solution=again if migration in newest else restore,
        )


class Readiness:
    """Whether requests can be served, with the reason if not, or a notice.

    One separate thread with one separate connection asks the database, at most once a second, for
    all callers. So an exhausted pool makes no instance unready, and a database that never answers
    blocks only this thread.

    Attributes:
        revision: the database's revision at the last check; None if there is none yet.
    """

    revision: str | None = None

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = apart(engine)
        self._pool = engine
        self._config = config_for(settings)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="readiness")
        self._looking: asyncio.Future[Answer] | None = None
        self._began = self._ended = -READY_FOR_SECONDS
        self._seen: object = None
        self._answer: Answer = (False, None)
        with suppress(SQLAlchemyError):
            self._fingerprint()

    async def ask(self) -> Answer:
        """The newest answer, at most a second old; not ready if there is no answer in time."""
        loop = asyncio.get_running_loop()
        if self._looking is None:
            if loop.time() - self._ended < READY_FOR_SECONDS:
                return self._answer
            self._began = loop.time()
            self._looking = loop.run_in_executor(self._thread, self._look)
            self._looking.add_done_callback(self._note)
        looking = self._looking  # when it is done, the next one may have begun
        patience = self._began + READY_TIMEOUT_SECONDS - loop.time()
        await asyncio.wait([looking], timeout=max(0.0, patience))
        if looking.done():
            return self._answer
        return False, f"the database does not answer within {READY_TIMEOUT_SECONDS:.0f} seconds"

    def close(self) -> None:
        """End the checks."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._engine is not self._pool:
            self._engine.dispose()

    def _note(self, looked: "asyncio.Future[Answer]") -> None:
        self._looking, self._ended = None, looked.get_loop().time()
        if not looked.cancelled():
            self._answer = looked.result()

    def _look(self) -> Answer:
        try:
            seen = self._fingerprint()
            if seen is None or seen != self._seen:
                self._answer = can_serve(self._engine, self._config)
                self._seen = seen
            return self._answer
        except SQLAlchemyError:
            self._seen = None
            return False, "the database does not answer"
        except ActionableError as error:
            self._seen = None
            return False, error.problem

    def _fingerprint(self) -> object:
        # One statement. While its result is the same, the whole check would give the same answer.
        try:
            with self._engine.connect() as connection:
                seen = connection.execute(fingerprint(self._config)).all()
        except SQLAlchemyError as error:
            if is_away(error):
                raise
            seen = None  # the tables do not exist yet
        self.revision = ", ".join(row[0] for row in seen) or None if seen else None
        return seen
