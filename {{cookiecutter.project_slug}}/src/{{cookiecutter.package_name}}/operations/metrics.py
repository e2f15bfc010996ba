"""``/metrics``: what this process counts, and what the database knows, for Prometheus."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine, event
from sqlalchemy.exc import SQLAlchemyError

from ..database.session import apart
from ..errors import ActionableError
from ..mail import LogMailer, Mail, Mailer
from ..migrate import BackfillProgress, MigrationConfig, RunState
from ..migrations import config_for
from ..migrations.verification import Verifications
from ..observability.metrics import Metrics
from ..settings import Settings
from .errors import metrics_cannot_listen
from .overview import Overview, read_overview

KNOWN_FOR_SECONDS = 10.0
PATIENCE_SECONDS = 2.0


def add_metrics(app: FastAPI, metrics: Metrics) -> None:
    """Count what ``app`` does and, unless METRICS_PORT does, serve it."""
    settings: Settings = app.state.settings
    app.state.mailer = count_failures(app.state.mailer, metrics)
    if settings.metrics_port is None:

        @app.get("/metrics", include_in_schema=False)
        async def serve() -> Response:
            text = await asyncio.to_thread(generate_latest, metrics.registry)
            return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})


@contextmanager
def listening(metrics: Metrics, settings: Settings) -> Iterator[None]:
    """Serve the metrics on METRICS_PORT, where that is set; what is counted so far at first.

    Raises:
        ActionableError: metrics-cannot-listen.
    """
    host, port = settings.listen_host, settings.metrics_port
    if port is None:
        yield
        return
    try:
        server, _ = start_http_server(port, host, registry=metrics.registry)
    except OSError as error:
        raise metrics_cannot_listen(host, port, error.strerror or str(error)) from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def collecting(
    metrics: Metrics, engine: Engine, settings: Settings, verifications: Verifications
) -> Iterator[None]:
    """While the service runs: follow its connections, and ask its database now and then."""
    facts = DatabaseFacts(engine, config_for(settings), verifications)
    hooks = (("checkout", metrics.connection_taken), ("checkin", metrics.connection_returned))
    for name, hook in hooks:
        event.listen(engine, name, hook)
    metrics.registry.register(facts)
    try:
        yield
    finally:
        metrics.registry.unregister(facts)
        facts.close()
        for name, hook in hooks:
            event.remove(engine, name, hook)


def count_failures(mailer: Mailer, metrics: Metrics) -> Mailer:
    """The same mailer; mails that it cannot send are counted. The log's never fails."""
    return mailer if isinstance(mailer, LogMailer) else _CountedMailer(mailer, metrics)


@dataclass(frozen=True)
class _CountedMailer:
    mailer: Mailer
    metrics: Metrics

    def send(self, mail: Mail) -> None:
        try:
            self.mailer.send(mail)
        except OSError:
            self.metrics.mails_failed.inc()
            raise


class DatabaseFacts(Collector):
    """What the database knows. However often it is asked for, the database is asked every 10 seconds.

    By one thread and a connection of its own, as readiness does: a database that never answers
    keeps that thread and no other.
    """

    def __init__(
        self, engine: Engine, config: MigrationConfig, verifications: Verifications
    ) -> None:
        self._engine = apart(engine)
        self._pool = engine
        self._config = config
        self._verifications = verifications
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="metrics")
        self._turn = threading.Lock()
        self._looking: Future[Overview | None] | None = None
        self._asked_at = -KNOWN_FOR_SECONDS

    def describe(self) -> list[Metric]:
        """Nothing: the registry would look into the database else, when this is registered."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The facts, or only that the database tells none."""
        overview = self._latest()
        yield _gauge("database_up", "Whether the database answers.", overview is not None)
        if overview is not None:
            yield from measure(overview)
        if (last := self._verifications.last) is not None:
            text = "Whether the last comparison found the schema other than migrations make it."
            yield _gauge("schema_drift", text, not last.is_in_step)
            if last.tenants is not None:
                text = "Tenants whose schema it found other than migrations make it."
                yield _gauge("tenants_drifted", text, last.tenants_that_differ)
            when = last.verified_at.timestamp()
            yield _gauge("schema_verified_timestamp_seconds", "When that was compared.", when)

    def close(self) -> None:
        """Ask no more."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._engine is not self._pool:
            self._engine.dispose()

    def _latest(self) -> Overview | None:
        with self._turn:
            is_old = time.monotonic() - self._asked_at >= KNOWN_FOR_SECONDS
            if self._looking is None or (self._looking.done() and is_old):
                self._asked_at = time.monotonic()
                self._looking = self._thread.submit(self._look)
            looking = self._looking
        try:
            return looking.result(PATIENCE_SECONDS)
        except TimeoutError:
            return None

    def _look(self) -> Overview | None:
        try:
            return read_overview(self._engine, self._config)
        except (ActionableError, SQLAlchemyError):
            return None


def measure(overview: Overview) -> Iterator[Metric]:
    """The numbers of an overview. No name of a tenant or a migration is among them."""
    status = overview.status
    yield _gauge("migrations_applied", "Migrations that are applied.", len(status.completed))
    yield _gauge("migrations_pending", "Migrations that wait.", len(status.pending))
    held_back = len(status.held_back)
    yield _gauge("migrations_held_back", "Migrations that wait for instances to end.", held_back)
    yield _gauge(
        "migrations_in_order",
        "Whether no file of an applied one is missing or changed.",
        not status.problem,
    )
    yield from _measure_backfills(status.backfills)
    ran = [run for run in overview.runs if run.state is not RunState.HELD_BACK]
    if ran:
        last = ran[0]
        succeeded = last.state is not RunState.FAILED
        yield _gauge("migrations_last_run_success", "Whether the last run succeeded.", succeeded)
        yield _gauge("migrations_last_run_duration_seconds", "How long it took.", last.duration)
        began = last.started_at.timestamp()
        yield _gauge("migrations_last_run_timestamp_seconds", "When it began.", began)
    yield _counts(
        "service_instances",
        "Processes that serve, by the last revision of their files.",
        "revision",
        Counter(one.revision for one in overview.instances),
    )
    if overview.tenants is not None:
        states: Counter[str] = Counter()
        for _, state, number in overview.tenants:
            states[state] += number
        yield _counts("tenants", "Tenants, by their state.", "status", states)
        yield _gauge("tenants_behind", "Tenants that are not up to date.", overview.behind)


def _measure_backfills(backfills: Sequence[BackfillProgress]) -> Iterator[Metric]:
    done = sum(one.done for one in backfills)
    total = sum(one.total or 0 for one in backfills)
    rows = Counter({"done": done, "left": max(0, total - done)})
    stopped = sum(one.error is not None for one in backfills)
    yield _gauge("backfills_unfinished", "Backfills that are not finished.", len(backfills))
    yield _gauge("backfills_stopped", "Of these, those that an error stopped.", stopped)
    text = "Rows of the backfills that are not finished, as far as they are counted."
    yield _counts("backfill_rows", text, "state", rows)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def _counts(name: str, text: str, label: str, numbers: Counter[str]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, number in sorted(numbers.items()):
        family.add_metric([value], number)
    return family
