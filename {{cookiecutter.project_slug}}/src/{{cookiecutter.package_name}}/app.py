"""The service, wired together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from . import TITLE, security
from .auth.limits import RateLimiter
from .database.backend import connect
from .database.session import ping
from .docs import add_docs
from .errors import Problem
from .logs import configure_logging
from .mail import mailer_for
from .migrate import MigrationError
from .problem_json import speak_problem_json
from .routes import ROUTERS
from .schema import bring_up_to_date
from .settings import Settings, load_settings

log = structlog.stdlib.get_logger(__name__)


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application. Its lifespan connects, migrates, then opens the door.

    Raises:
        Problem: the settings cannot work, or are unsafe in production.
    """
    settings = settings or load_settings()
    configure_logging(settings)
    app = FastAPI(
        title=TITLE,
        lifespan=_lifespan,
        middleware=security.middleware(settings),
        openapi_url="/openapi.json" if settings.serves_docs else None,
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = settings
    app.state.mailer = mailer_for(settings)
    app.state.limiter = RateLimiter(settings)
    speak_problem_json(app)
    for router in ROUTERS:
        app.include_router(router)
    if settings.serves_docs:
        add_docs(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    for problem in settings.problems():
        log.warning(problem.problem, impact=problem.impact, solution=problem.solution)
    try:
        app.state.engine = start_database(settings)
    except (Problem, MigrationError) as error:
        log.error(error.problem, impact=error.impact, solution=error.solution)
        raise
    except Exception:
        log.exception("The service did not start")
        raise
    log.info("Ready to serve", environment=settings.environment)
    try:
        yield
    finally:
        app.state.engine.dispose()


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
            bring_up_to_date(engine, settings)
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
