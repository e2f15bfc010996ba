"""OpenTelemetry spans: requests, runs, migrations, and the statements of each.

No instrumentation package is needed: the service's middleware, SQLAlchemy's events and the
engine's Observer have all the data, for both databases. Statements are sent without values.
"""

import time
from collections.abc import Sequence
from typing import Any

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from sqlalchemy import Engine, event
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..migrate import MigrationResult, Observer, Silent, without_values
from ..migrations import release
from ..settings.base import SERVICE
from ..web.request_log import PROBES

PATH = "/v1/traces"
SECONDS_TO_SEND = 3  # also at the end of the service: unsent spans are then lost
NANOSECONDS = 1_000_000_000


class Tracing:
    """Creates spans, and sends them in the background.

    Args:
        endpoint: the collector's address, without a path.
    """

    def __init__(self, endpoint: str) -> None:
        about = Resource.create({"service.name": SERVICE, "service.version": release() or ""})
        self._provider = TracerProvider(resource=about)
        exporter = OTLPSpanExporter(endpoint.rstrip("/") + PATH, timeout=SECONDS_TO_SEND)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self.tracer = self._provider.get_tracer(SERVICE)

    def observer(self) -> Observer:
        """Creates the spans of a run and its migrations."""
        return TracedRun(self.tracer)

    def follow(self, engine: Engine) -> None:
        """From now on, create a span for each statement of this engine."""
        statements = _Statements(self.tracer)
        event.listen(engine, "before_cursor_execute", statements.begin)
        event.listen(engine, "after_cursor_execute", statements.end)
        event.listen(engine, "handle_error", statements.fail)

    def close(self) -> None:
        """Send the remaining spans, and create no more."""
        self._provider.shutdown()


class TraceRequests:
    """ASGI middleware: a span for each request. Its trace id is in each log line of the request."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self.app = app
        self.tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self.app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        parent = TraceContextTextMapPropagator().extract(headers)
        method = scope["method"]
        with self.tracer.start_as_current_span(method, parent, SpanKind.SERVER) as span:
            span.set_attribute("http.request.method", method)

            async def watch(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        span.set_status(StatusCode.ERROR)
                await send(message)

            structlog.contextvars.bind_contextvars(**_ids(span))
            try:
                await self.app(scope, receive, watch)
            finally:
                # Without the path: it may name a person.
                if (route := getattr(scope.get("route"), "path", None)) is not None:
                    span.update_name(f"{method} {route}")
                    span.set_attribute("http.route", route)


class TracedRun(Silent):
    """A span for a run, one for each migration in it, and one for each of their statements.

    A chunk of a backfill is a separate trace, because the run has already ended. Single tenants get
    no spans: there may be thousands.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._run: Span | None = None
        self._migration: Span | None = None

    def run_started(self, names: Sequence[str], *, is_upgrade: bool) -> None:
        name = "migrate" if is_upgrade else "roll back"
        self._run = self._tracer.start_span(name, attributes={"migrations": len(names)})
        structlog.contextvars.bind_contextvars(**_ids(self._run))

    def migration_started(self, name: str, *, is_upgrade: bool) -> None:
        self._end_migration(failed=True)  # a migration before a retry has no end yet
        self._migration = self._tracer.start_span(name, _within(self._run))

    def statement_finished(self, statement: str, seconds: float, rows: int | None) -> None:
        began, now = _moments(seconds)
        span = self._tracer.start_span(
            _verb(statement), _within(self._migration), SpanKind.CLIENT, start_time=began
        )
        span.set_attribute("db.query.text", without_values(statement))
        span.end(now)

    def chunk_finished(self, migration: str, seconds: float, *, failed: bool) -> None:
        began, now = _moments(seconds)
        span = self._tracer.start_span(f"chunk of {migration}", start_time=began)
        if failed:
            span.set_status(StatusCode.ERROR)
        span.end(now)

    def migration_finished(self, name: str, seconds: float, *, is_upgrade: bool) -> None:
        self._end_migration(failed=False)

    def for_tenant(self, tenant: str) -> Observer:
        return Silent()

    def run_finished(self, result: MigrationResult) -> None:
        self._end_migration(failed=True)
        if self._run is not None:
            if result.error is not None:
                self._run.set_status(Status(StatusCode.ERROR, result.error.code))
            self._run.end()
            self._run = None
            structlog.contextvars.unbind_contextvars("trace_id", "span_id")

    def _end_migration(self, *, failed: bool) -> None:
        if self._migration is not None:
            if failed:
                self._migration.set_status(StatusCode.ERROR)
            self._migration.end()
            self._migration = None


class _Statements:
    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def begin(self, _c: Any, _cursor: Any, statement: str, _p: Any, context: Any, _m: Any) -> None:
        span = self._tracer.start_span(_verb(statement), kind=SpanKind.CLIENT)
        span.set_attribute("db.query.text", without_values(statement))
        context.span = span

    def end(self, _c: Any, _cursor: Any, _s: Any, _p: Any, context: Any, _m: Any) -> None:
        context.span.end()

    def fail(self, failure: Any) -> None:
        if span := getattr(failure.execution_context, "span", None):
            span.set_status(StatusCode.ERROR)
            span.end()


def _ids(span: Span) -> dict[str, str]:
    context = span.get_span_context()
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}


def _moments(seconds: float) -> tuple[int, int]:
    """The start time of something with this duration that ends now, and its end time."""
    now = time.time_ns()
    return now - int(seconds * NANOSECONDS), now


def _within(span: Span | None) -> Any:
    return None if span is None else set_span_in_context(span)


def _verb(statement: str) -> str:
    return (statement.split(maxsplit=1) or ["statement"])[0].upper()[:20]
