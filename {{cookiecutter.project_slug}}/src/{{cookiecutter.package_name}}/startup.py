"""What runs before the port opens, and what readiness asks.

May import: ``migrations``, ``migrate``, ``database``, ``settings``, ``errors``. Imported by:
``app``, ``web.health``.
"""

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from .database.backend import connect
from .database.errors import unreachable_at_start
from .database.session import ping
from .errors import ActionableError
from .migrations import config_for
from .migrations.target import bring_up_to_date, can_serve, look_at_start
from .settings import Settings


def start_database(settings: Settings) -> Engine:
    """Connect and, when AUTO_MIGRATE says so, migrate.

    Raises:
        ActionableError: the database does not answer.
        ActionableError: a migration failed.
    """
    engine = connect(settings)
    try:
        ping(engine)
        if settings.auto_migrate:
            bring_up_to_date(engine, config_for(settings))
        look_at_start(engine, config_for(settings))
    except SQLAlchemyError as error:
        engine.dispose()
        raise unreachable_at_start(engine.url.render_as_string(), _cause(error)) from error
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
    except ActionableError as error:
        return False, error.problem
