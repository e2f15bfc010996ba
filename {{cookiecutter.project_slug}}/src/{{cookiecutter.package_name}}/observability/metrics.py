"""The counters of this process, for Prometheus.

Add a metric here if the process counts it while it works: requests, errors, mails, connections. A
value that the database knows (migrations, backfills, instances, tenants) belongs to
``operations/metrics.py``, which also serves ``/metrics``.

Every label has few values: route templates and never paths, codes and never texts, no tenant. If
several processes serve together, ``PROMETHEUS_MULTIPROC_DIR`` names an empty folder in which they
share their counters: https://prometheus.github.io/client_python/multiprocess/
"""

import os
from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
NO_ROUTE = "none"  # the service has no such path
OTHER_METHOD = "other"
RATE_LIMITED = "rate-limited"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The counters of one process.

    Attributes:
        registry: the registry that is served.
        mails_failed: mails that could not be sent.
    """

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.registry = CollectorRegistry() if _shared() else registry
        if _shared():
            MultiProcessCollector(self.registry)  # type: ignore[no-untyped-call]
        self._requests = Histogram(
            "http_request_duration_seconds",
            "Answered requests and their durations.",
            ["method", "route", "status"],
            registry=registry,
            buckets=SECONDS,
        )
        self._errors = Counter(
            "http_errors", "Requests answered with an error.", ["code"], registry=registry
        )
        self._limited = Counter(
            "rate_limits_hit", "Requests refused by a rate limit.", registry=registry
        )
        self.mails_failed = Counter(
            "mails_failed", "Mails that could not be sent.", registry=registry
        )
        self._pool = Gauge(
            "database_pool_connections",
            "Database connections in use by requests.",
            registry=registry,
            multiprocess_mode="livesum",
        )

    def request(
        self, scope: Mapping[str, Any], status: int, seconds: float, code: str | None
    ) -> None:
        """Count a request.

        Args:
            scope: ASGI's.
            code: the code of the error, if the answer is one.
        """
        method = scope["method"] if scope["method"] in METHODS else OTHER_METHOD
        route = getattr(scope.get("route"), "path", NO_ROUTE)
        self._requests.labels(method, route, str(status)).observe(seconds)
        if code is not None:
            self._errors.labels(code).inc()
            if code == RATE_LIMITED:
                self._limited.inc()

    def connection_taken(self, *_: object) -> None:
        """A request took a connection from the pool."""
        self._pool.inc()

    def connection_returned(self, *_: object) -> None:
        """A request returned its connection."""
        self._pool.dec()


def _shared() -> bool:
    return "PROMETHEUS_MULTIPROC_DIR" in os.environ
