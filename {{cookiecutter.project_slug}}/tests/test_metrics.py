"""Metrics: in Prometheus' format, with few labels, and off in production."""

import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.exc import OperationalError

from {{ cookiecutter.package_name }} import app as app_module
from {{ cookiecutter.package_name }}.app import create_app
from {{ cookiecutter.package_name }}.errors import ActionableError
from {{ cookiecutter.package_name }}.mail import Mail
from {{ cookiecutter.package_name }}.migrate import Registration, get_instances, migrate_down
from {{ cookiecutter.package_name }}.migrations import config_for
from {{ cookiecutter.package_name }}.operations import metrics as operations_metrics
from {{ cookiecutter.package_name }}.operations.metrics import count_failures
from {{ cookiecutter.package_name }}.operations.overview import read_overview
from {{ cookiecutter.package_name }}.settings import Settings

from .accounts import ADA
from .client import Client

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read(text: str) -> Samples:
    """The samples, read by Prometheus' own parser."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def metric(samples: Samples, name: str, **labels: str) -> float:
    return samples[(name, tuple(sorted(labels.items())))]


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Values from the database are read at each scrape, without a time limit."""
    monkeypatch.setattr(operations_metrics, "KNOWN_FOR_SECONDS", 0.0)
    monkeypatch.setattr(operations_metrics, "PATIENCE_SECONDS", 60.0)
    yield


def test_requests_are_counted_by_route_and_never_by_path(client: TestClient) -> None:
    for user in ("ada", "grace"):
        client.get(f"/users/{user}")
    client.get("/no/such/path/ada")
    text = client.get("/metrics").text
    samples = read(text)
    name = "http_request_duration_seconds_count"
    assert metric(samples, name, method="GET", route="none", status="404") >= 1
    assert "ada" not in text and "grace" not in text
    client.get("/health/live")
    samples = read(client.get("/metrics").text)
    assert metric(samples, name, method="GET", route="/health/live", status="200") == 1
    assert metric(samples, name, method="GET", route="/metrics", status="200") == 1


def test_an_unknown_http_method_is_labelled_other(client: TestClient) -> None:
    client.request("BREW", "/health/live")
    text = client.get("/metrics").text
    assert 'method="other"' in text and "BREW" not in text


def test_errors_are_counted_by_their_code(client: TestClient) -> None:
    client.get("/nowhere")
    samples = read(client.get("/metrics").text)
    assert metric(samples, "http_errors_total", code="path-unknown") == 1


def test_refusals_by_a_rate_limit_are_counted(settings: Settings) -> None:
    few = {"rate_limit_per_address": "1/hour", "admin_key": None}
    with Client(create_app(settings.model_copy(update=few))) as client:
        for _ in range(3):
            client.post("/auth/login", json={"email": ADA["email"], "password": "wrong"})
        samples = read(client.get("/metrics").text)
    assert metric(samples, "rate_limits_hit_total") == 2


def test_the_state_of_migrations_is_exported(client: Client, fresh: None) -> None:
    samples = read(client.get("/metrics").text)
    assert metric(samples, "database_up") == 1
    assert metric(samples, "migrations_pending") == 0
    assert metric(samples, "migrations_held_back") == 0
    # A service on a database in memory does not register, so the test registers an instance.
    before = sum(value for (name, _), value in samples.items() if name == "service_instances")
    Registration(client.state.engine, config_for(client.state.settings)).register()
    samples = read(client.get("/metrics").text)
    revision = client.get("/health/live").json()["revision"]
    assert metric(samples, "service_instances", revision=revision) == before + 1
    assert metric(samples, "migrations_applied") > 0
    assert metric(samples, "migrations_in_order") == 1
    assert metric(samples, "migrations_last_run_success") == 1
    assert metric(samples, "migrations_last_run_duration_seconds") > 0
    assert metric(samples, "database_pool_connections") == 0


def test_scraping_repeatedly_reads_the_database_once(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = Mock(side_effect=read_overview)
    monkeypatch.setattr(operations_metrics, "read_overview", look)
    for _ in range(5):
        assert client.get("/metrics").status_code == 200
    assert look.call_count == 1


def test_without_the_database_the_other_metrics_are_still_exported(
    client: Client, fresh: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = OperationalError("SELECT 1", {}, ConnectionRefusedError("nobody listens"))
    monkeypatch.setattr(operations_metrics, "read_overview", Mock(side_effect=away))
    client.get("/health/live")
    samples = read(client.get("/metrics").text)
    assert metric(samples, "database_up") == 0
    assert not [name for name, _ in samples if name.startswith("migrations_")]
    assert any(name == "http_request_duration_seconds_count" for name, _ in samples)


def test_production_serves_no_metrics_unless_they_are_enabled(settings: Settings) -> None:
    production = settings.model_copy(update={"environment": "production"})
    for enabled, status in ((None, 404), (False, 404), (True, 200)):
        app = create_app(production.model_copy(update={"metrics_enabled": enabled}))
        client = TestClient(app, base_url="http://localhost")
        assert client.get("/metrics").status_code == status


def test_metrics_on_their_own_port_are_not_on_the_port_of_the_service(
    settings: Settings, fresh: None
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with Client(create_app(settings.model_copy(update={"metrics_port": port}))) as client:
        assert client.get("/metrics").status_code == 404
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            samples = read(answer.read().decode())
    assert metric(samples, "database_up") == 1
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics")


def test_a_metrics_port_in_use_stops_the_start_before_migrating(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Mock()
    monkeypatch.setattr(app_module, "start_database", begin)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        client = TestClient(create_app(settings.model_copy(update={"metrics_port": port})))
        with pytest.raises(ActionableError) as refused, client:
            pass
    assert refused.value.code == "metrics-cannot-listen"
    assert str(port) in refused.value.problem and len(str(refused.value).splitlines()) == 3
    begin.assert_not_called()


def test_a_failed_start_frees_the_metrics_port(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(app_module, "Readiness", Mock(side_effect=RuntimeError("half-way")))
    client = TestClient(create_app(settings.model_copy(update={"metrics_port": port})))
    with pytest.raises(RuntimeError, match="half-way"), client:
        pass
    with socket.create_server(("127.0.0.1", port)):
        pass
    assert get_instances(client.app.state.engine) == []  # type: ignore[attr-defined]


def test_mails_that_fail_are_counted(client: Client) -> None:
    class Away:
        def send(self, mail: Mail) -> None:
            raise OSError("no mail server")

    mailer = count_failures(Away(), client.state.metrics)
    with pytest.raises(OSError, match="no mail server"):
        mailer.send(Mail("ada@example.com", "", "", ""))
    assert metric(read(client.get("/metrics").text), "mails_failed_total") == 1


COUNT_ONE = """
import sys
from prometheus_client import generate_latest
from {{ cookiecutter.package_name }}.observability.metrics import Metrics
metrics = Metrics()
metrics.request({"method": "GET"}, 200, 0.1, None)
sys.stdout.buffer.write(generate_latest(metrics.registry))
"""


def test_metrics_of_several_processes_are_summed(tmp_path: Path) -> None:
    variables: dict[str, Any] = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    source = str(Path(__file__).parents[1] / "src")
    variables["PYTHONPATH"] = os.pathsep.join([source, variables.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", COUNT_ONE]
    counted = [
        read(
            subprocess.run(
                command, env=variables, check=True, stdout=subprocess.PIPE, text=True
            ).stdout
        )
        for _ in range(3)
    ]
    labels = {"method": "GET", "route": "none", "status": "200"}
    name = "http_request_duration_seconds_count"
    assert [metric(samples, name, **labels) for samples in counted] == [1, 2, 3]


def test_a_migration_that_was_rolled_back_is_pending_at_the_next_scrape(
    client: Client, fresh: None
) -> None:
    before = metric(read(client.get("/metrics").text), "migrations_applied")
    assert migrate_down(client.state.engine).success
    samples = read(client.get("/metrics").text)
    assert metric(samples, "migrations_applied") < before
    assert metric(samples, "migrations_pending") > 0
