"""What runs before the port opens, and what readiness asks.

May import: ``migrations``, ``migrate``, ``database``, ``settings``, ``errors``. Imported by:
``app``, ``web.health``.
"""

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from .database.backend import connect
from .database.session import ping
from .errors import Problem
from .migrate import MigrationError
from .migrations import config_for
from .migrations.target import bring_up_to_date, can_serve
from .settings import Settings


def start_database(settings: Settings) -> Engine:
    """Connect and, when AUTO_MIGRATE says so, migrate.

    Raises:
        Problem: the database does not answer.
        MigrationError: a migration failed.
    """
    engine = connect(settings)
    try:
        ping(engine)
        if settings.auto_migrate:
            bring_up_to_date(engine, config_for(settings))
    except SQLAlchemyError as error:
        engine.dispose()
        raise Problem(
            f"The database {engine.url.render_as_string()} does not answer: {_cause(error)}",
            "The service does not start: without its database it could only fail.",
            "Start the database, or correct DATABASE_URL.",
        ) from error
    except BaseException:
        engine.dispose()
        raise
    return engine


def _cause(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]


def readiness(engine: Engine, settings: Settings) -> tuple[bool, str | None]:
    """Whether requests can be served, and why not or with what to note."""
    try:
        ping(engine)
        return can_serve(engine, config_for(settings))
    except SQLAlchemyError:
        return False, "the database does not answer"
    except MigrationError as error:
        return False, error.problem
