"""The application, built from its parts."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import structlog
from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

from . import TITLE
from .errors import ActionableError
from .mail import mailer_for
from .migrations.verification import Verifications
from .observability.logging import configure_logging
from .operations.tracing import tracing_for
from .routes import ROUTERS
from .settings import Settings, load_settings
from .startup import Readiness, register, start_database, stopped_by_signals
from .web.cookies import read_cookies_in_linear_time
from .web.landing import add_landing_pages
from .web.lanes import Lanes
from .web.middleware import middleware
from .web.openapi_page import add_docs
from .web.outages import answer_outages
from .web.problem_details import speak_problem_json
from .web.rate_limits import RateLimiter

if TYPE_CHECKING:
    from .observability.metrics import Metrics
    from .operations.spans import Tracing

log = structlog.stdlib.get_logger(__name__)


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application. Its lifespan connects and migrates before the first request.

    Raises:
        ActionableError: the settings are invalid, or unsafe in production.
    """
    settings = settings or load_settings()
    configure_logging(settings.log_level, as_json=settings.logs_json)
    read_cookies_in_linear_time()
    metrics = _metrics(settings)
    tracing = tracing_for(settings)
    app = FastAPI(
        title=TITLE,
        lifespan=_lifespan,
        middleware=middleware(settings, None if metrics is None else metrics.request),
        openapi_url="/openapi.json" if settings.serves_docs else None,
        docs_url=None,
        redoc_url=None,
        # A redirect would go to the host of the request's Host header.
        redirect_slashes=False,
    )
    app.state.settings = settings
    if tracing is not None:
        from .operations.spans import TraceRequests

        app.add_middleware(TraceRequests, tracer=tracing.tracer)
    app.state.metrics = metrics
    app.state.tracing = tracing
    app.state.mailer = mailer_for(settings)
    app.state.limiter = RateLimiter(settings)
    app.state.readiness = None
    app.state.verifications = Verifications()
    speak_problem_json(app)
    answer_outages(app)
    for router in ROUTERS:
        app.include_router(router)
    if metrics is not None:
        from .operations.metrics import add_metrics

        add_metrics(app, metrics)
    if settings.serves_docs:
        add_docs(app)
    if not settings.in_production:
        add_landing_pages(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    # The started parts end in the opposite order, also when the start fails halfway.
    with ExitStack() as ending:
        try:
            _start(app, ending)
        except ActionableError as error:
            log.error(error.problem, **error.details())
            raise
        except KeyboardInterrupt as stop:
            log.error("Stopped before it was ready", notes=getattr(stop, "__notes__", []))
            raise
        except Exception:
            log.exception("The service did not start")
            raise
        await run_in_threadpool(_build_routes, app)
        log.info("Ready to serve", environment=app.state.settings.environment)
        yield


def _start(app: FastAPI, ending: ExitStack) -> None:
    settings: Settings = app.state.settings
    tracing: Tracing | None = app.state.tracing
    metrics: Metrics | None = app.state.metrics
    if metrics is not None:
        from .operations.metrics import collecting, listening

        ending.enter_context(listening(metrics, settings))
    with stopped_by_signals():
        observer = None if tracing is None else tracing.observer()
        engine = app.state.engine = start_database(settings, observer)
        ending.callback(engine.dispose)
        app.state.replica = register(engine, settings, observer)
        ending.callback(app.state.replica.close)
    app.state.readiness = Readiness(engine, settings)
    ending.callback(app.state.readiness.close)
    app.state.lanes = Lanes.open(settings)
    ending.callback(app.state.lanes.close)
    if tracing is not None:
        tracing.follow(engine)
        ending.callback(tracing.close)
    if metrics is not None:
        ending.enter_context(collecting(metrics, engine, settings, app.state.verifications))


def _build_routes(app: FastAPI) -> None:
    """Look for a path that no route has: FastAPI builds the routes in the first such search.

    This takes a tenth of a second. In the first request it would keep every other request
    waiting, health checks too; and so would the import of what runs dependencies in threads.
    """
    for route in app.routes:
        route.matches({"type": "http", "method": "GET", "path": "", "headers": []})


def _metrics(settings: Settings) -> "Metrics | None":
    """The counters, if METRICS_ENABLED is on; otherwise nothing is imported."""
    if not settings.serves_metrics:
        return None
    from .observability.metrics import Metrics

    return Metrics()
