"""Traces reach a collector by OTLP; without the extra nothing is imported."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from fastapi import HTTPException
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from sqlalchemy import text

from {{ cookiecutter.package_name }}.app import create_app
from {{ cookiecutter.package_name }}.cli.common import database
from {{ cookiecutter.package_name }}.errors import ActionableError
from {{ cookiecutter.package_name }}.migrate import run_migrations
from {{ cookiecutter.package_name }}.operations.tracing import tracing_for
from {{ cookiecutter.package_name }}.settings import Settings

from .accounts import ADA
from .client import Client

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector(HTTPServer):
    """A collector that keeps the received spans.

    Attributes:
        status: of its answers.
        spans: in the order in which they ended.
        attempts: how often each batch of spans came.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receiver)
        self.status = 200
        self.spans: list[Span] = []
        self.attempts: Counter[bytes] = Counter()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


class _Receiver(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.attempts[body] += 1
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.server.spans += scope.spans
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        thread = Thread(target=collector.serve_forever, args=(0.05,))
        thread.start()
        yield collector
        collector.shutdown()
        thread.join()


@pytest.fixture
def traced(settings: Settings, collector: Collector) -> Settings:
    return settings.model_copy(
        update={"otel_exporter_otlp_endpoint": collector.address, "log_format": "json"}
    )


def test_a_request_and_its_statements_share_a_trace_id_with_the_log(
    traced: Settings, collector: Collector, capsys: pytest.CaptureFixture[str]
) -> None:
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    with Client(create_app(traced)) as client:
        capsys.readouterr()
        client.post("/auth/register", json=ADA, headers=headers)
        lines = map(json.loads, capsys.readouterr().err.splitlines())
        (logged,) = [line for line in lines if line["event"] == "request"]
    (request,) = collector.named("POST /auth/register")
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
    assert (logged["trace_id"], logged["span_id"]) == (TRACE, request.span_id.hex())
    statements = [span for span in collector.spans if span.parent_span_id == request.span_id]
    assert "INSERT" in {span.name for span in statements}
    spans = "".join(map(str, collector.spans))
    assert ADA["email"] not in spans and ADA["password"] not in spans


def test_failed_requests_and_statements_have_error_status_in_the_trace(
    traced: Settings, collector: Collector
) -> None:
    app = create_app(traced)

    @app.get("/broken")
    def broken() -> None:
        with app.state.engine.connect() as connection:
            connection.execute(text("SELECT 1 FROM nowhere"))

    @app.get("/busy")
    def busy() -> None:
        raise HTTPException(503)

    with Client(app, raise_server_exceptions=False) as client:
        assert client.get("/broken").status_code == 500
        assert client.get("/busy").status_code == 503
    (request,) = collector.named("GET /broken")
    assert collector.named("GET /busy")[0].status.code == Status.STATUS_CODE_ERROR
    (statement,) = [span for span in collector.spans if span.parent_span_id == request.span_id]
    failed = Status.STATUS_CODE_ERROR
    assert (request.status.code, statement.name, statement.status.code) == (
        failed,
        "SELECT",
        failed,
    )


def test_each_backfill_chunk_has_its_own_trace(traced: Settings, collector: Collector) -> None:
    tracing = tracing_for(traced)
    assert tracing is not None
    for failed in (False, True):
        tracing.observer().chunk_finished("003_fill", 0.5, failed=failed)
    tracing.close()
    chunks = collector.named("chunk of 003_fill")
    states = [Status.STATUS_CODE_UNSET, Status.STATUS_CODE_ERROR]
    assert [chunk.status.code for chunk in chunks] == states
    seconds = [(chunk.end_time_unix_nano - chunk.start_time_unix_nano) / 1e9 for chunk in chunks]
    assert seconds == pytest.approx([0.5, 0.5])


def test_probes_are_not_traced(traced: Settings, collector: Collector) -> None:
    with Client(create_app(traced)) as client:
        client.get("/health/live")
        client.get("/errors")
    names = {span.name for span in collector.spans}
    assert "GET /errors" in names and not any("health" in name for name in names)


def test_a_run_at_start_up_has_a_span_for_each_migration(
    traced: Settings, collector: Collector
) -> None:
    with Client(create_app(traced)):
        pass
    (run,) = collector.named("migrate")
    migrations = [span for span in collector.spans if span.parent_span_id == run.span_id]
    (users,) = collector.named("001_create_users_table")
    assert users in migrations
    assert {span.trace_id for span in migrations} == {run.trace_id}
    assert {span.status.code for span in migrations} == {Status.STATUS_CODE_UNSET}


def test_an_unavailable_collector_gets_spans_at_most_three_times_even_at_shutdown(
    traced: Settings, collector: Collector
) -> None:
    collector.status = 503
    with Client(create_app(traced)) as client:
        assert client.get("/errors").status_code == 200
    # The exporter waits twice as long before each attempt: a fourth one needs SECONDS_TO_SEND > 5.
    assert 1 <= max(collector.attempts.values()) <= 3


def test_a_service_stops_while_its_collector_is_unreachable(settings: Settings) -> None:
    away = {"otel_exporter_otlp_endpoint": "http://127.0.0.1:9"}
    with Client(create_app(settings.model_copy(update=away))) as client:
        assert client.get("/errors").status_code == 200


def test_a_missing_otel_extra_is_an_error_with_the_install_command(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if "opentelemetry" in name or "spans" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)
    wanted = settings.model_copy(update={"otel_exporter_otlp_endpoint": "http://127.0.0.1:9"})
    with pytest.raises(ActionableError) as refused:
        tracing_for(wanted)
    assert refused.value.code == "tracing-not-installed"
    assert "uv sync --extra otel" in refused.value.solution


WITHOUT = """
import sys
from {{ cookiecutter.package_name }}.app import create_app
create_app()
print([name for name in sys.modules if name.startswith("opentelemetry.sdk") or "spans" in name])
"""


def test_a_migration_run_from_the_command_line_is_traced_too(
    traced: Settings, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("{{ cookiecutter.package_name }}.settings.load_settings", lambda **_: traced)
    with database() as (engine, config):
        run_migrations(engine, config=config).raise_for_error()
    assert collector.named("migrate") and collector.named("001_create_users_table")
    assert collector.named("CREATE")


def test_opentelemetry_is_not_imported_without_the_setting() -> None:
    command = [sys.executable, "-c", WITHOUT]
    source = Path(__file__).parents[1] / "src"
    done = subprocess.run(command, cwd=source, check=True, stdout=subprocess.PIPE, text=True)
    assert done.stdout == "[]\n"
