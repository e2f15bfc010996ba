"""What runs before the port opens, and what readiness asks.

May import: ``migrations``, ``migrate``, ``database``, ``settings``, ``errors``. Imported by:
``app``, ``cli.serve``, ``web.health``.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from .database.backend import connect
from .database.errors import unreachable_at_start
from .database.session import ping
from .errors import ActionableError
from .migrate import get_migration_status
from .migrations import config_for
from .migrations.target import bring_up_to_date, can_serve, look_at_start
from .settings import Settings

log = structlog.stdlib.get_logger(__name__)


def start_database(settings: Settings) -> Engine:
    """Connect and, when AUTO_MIGRATE says so, migrate.

    Raises:
        ActionableError: the database does not answer, or a migration failed.
    """
    engine = connect(settings)
    try:
        ping(engine)
        if settings.auto_migrate:
            bring_up_to_date(engine, config_for(settings))
        else:
            tell_what_is_pending(engine, settings)
        look_at_start(engine, config_for(settings))
    except SQLAlchemyError as error:
        engine.dispose()
        raise unreachable_at_start(engine.url.render_as_string(), _cause(error)) from error
    except BaseException:
        engine.dispose()
        raise
    return engine


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Ctrl-C and SIGTERM raise KeyboardInterrupt at once in here.

    Else the web server would note them and wait until a long migration is done.
    """
    if threading.current_thread() is not threading.main_thread():  # the only one that may do so
        yield
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    former = {number: signal.signal(number, signal.default_int_handler) for number in signals}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def tell_what_is_pending(engine: Engine, settings: Settings) -> None:
    """Log the migrations that wait for ``migrate latest``, and an applied one that was edited."""
    try:
        status = get_migration_status(engine, config=config_for(settings))
    except ActionableError as error:
        log.error(error.problem, impact=error.impact, solution=error.solution)
        return
    for name in status.pending:
        log.warning(f"{name} is pending", see="migrate latest --sql", apply="migrate latest")
    newest = status.completed[-1:]
    for migration in (migration for migration in status.completed if migration.changed):
        again = "Run it anew: migrate down, then migrate latest"
        restore = "Restore it, and write a new migration"
        log.warning(
            f"{migration.name} changed after it was applied",
            solution=again if migration in newest else restore,
        )


def _cause(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]


def readiness(engine: Engine, settings: Settings) -> tuple[bool, str | None]:
    """Whether requests can be served, and why not or with what to note."""
    try:
        ping(engine)
        return can_serve(engine, config_for(settings))
    except SQLAlchemyError:
        return False, "the database does not answer"
    except ActionableError as error:
        return False, error.problem
