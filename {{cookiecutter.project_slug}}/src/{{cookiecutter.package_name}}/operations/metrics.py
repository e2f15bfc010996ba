"""``/metrics`` for Prometheus: the counters of this process, and values from the database.

Add a metric to ``measure`` if its value comes from the database; it is read when Prometheus asks.
What the process counts while it works belongs to ``observability/metrics.py``, since each layer may
import that and only ``app`` and the command line import this.
"""

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
    """Count the requests of ``app`` and, if METRICS_PORT is not set, serve the metrics."""
    settings: Settings = app.state.settings
    app.state.mailer = count_failures(app.state.mailer, metrics)
    if settings.metrics_port is None:

        @app.get("/metrics", include_in_schema=False)
        async def serve() -> Response:
            text = await asyncio.to_thread(generate_latest, metrics.registry)
            return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})


@contextmanager
def listening(metrics: Metrics, settings: Settings) -> Iterator[None]:
    """Serve the metrics on METRICS_PORT, if it is set; at first only the process's counters.

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
    """While the service runs: count its connections, and read values from its database."""
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
    """The same mailer, which also counts failed mails. Mail to the log never fails."""
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
    """Values from the database, which are read at most every 10 seconds.

    One separate thread with a separate connection reads them, as for readiness: a database that
    never answers blocks only this thread.
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
        """Nothing; otherwise the registry would query the database at registration."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The values, or only ``database_up`` 0 if the database does not answer."""
        overview = self._latest()
        yield _gauge("database_up", "Whether the database answers.", overview is not None)
        if overview is not None:
            yield from measure(overview)
        if (last := self._verifications.last) is not None:
            text = "Whether the last comparison found that the schema differs from the migrations."
            yield _gauge("schema_drift", text, not last.is_in_step)
            if last.tenants is not None:
                text = "Tenants whose schema differed from the migrations in it."
                yield _gauge("tenants_drifted", text, last.tenants_that_differ)
            when = last.verified_at.timestamp()
            yield _gauge("schema_verified_timestamp_seconds", "Time of the last comparison.", when)

    def close(self) -> None:
        """End the queries."""
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
    """The numbers of an overview, without names of tenants or migrations."""
    status = overview.status
    yield _gauge("migrations_applied", "Applied migrations.", len(status.completed))
    yield _gauge("migrations_pending", "Pending migrations.", len(status.pending))
    held_back = len(status.held_back)
    yield _gauge("migrations_held_back", "Migrations that wait for instances to end.", held_back)
    yield _gauge(
        "migrations_in_order",
        "Whether all files of applied migrations exist and are unchanged.",
        not status.problem,
    )
    yield from _measure_backfills(status.backfills)
    ran = [run for run in overview.runs if run.state is not RunState.HELD_BACK]
    if ran:
        last = ran[0]
        succeeded = last.state is not RunState.FAILED
        yield _gauge("migrations_last_run_success", "Whether the last run succeeded.", succeeded)
        yield _gauge(
            "migrations_last_run_duration_seconds", "Duration of the last run.", last.duration
        )
        began = last.started_at.timestamp()
        yield _gauge("migrations_last_run_timestamp_seconds", "Start of the last run.", began)
    yield _counts(
        "service_instances",
        "Serving processes, by the last revision of their files.",
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
    yield _gauge("backfills_unfinished", "Unfinished backfills.", len(backfills))
    yield _gauge("backfills_stopped", "Unfinished backfills that an error stopped.", stopped)
    text = "Rows of unfinished backfills, if they are already counted."
    yield _counts("backfill_rows", text, "state", rows)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def _counts(name: str, text: str, label: str, numbers: Counter[str]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, number in sorted(numbers.items()):
        family.add_metric([value], number)
    return family
