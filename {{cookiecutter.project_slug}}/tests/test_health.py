"""Liveness and readiness."""

import asyncio
from typing import Any
from unittest.mock import Mock

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from {{ cookiecutter.package_name }} import startup
from {{ cookiecutter.package_name }}.app import create_app
from {{ cookiecutter.package_name }}.migrate import get_migration_status
from {{ cookiecutter.package_name }}.migrations import config_for
from {{ cookiecutter.package_name }}.settings import Settings
from {{ cookiecutter.package_name }}.web import health

from .client import Client


def test_a_started_service_is_live_and_ready(client: TestClient) -> None:
    for check in ("live", "ready"):
        answer = client.get(f"/health/{check}")
        assert (answer.status_code, answer.json()["status"]) == (200, "ok")


def test_both_health_checks_return_version_and_revision(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "VERSION", "1.2.3")  # None if the service is not installed
    health._answer_of_live.cache_clear()
    revision = get_migration_status(client.state.engine).current
    for check in ("live", "ready"):
        answer = client.get(f"/health/{check}")
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Content-Length"] == str(len(answer.content))
        body = answer.json()
        assert set(body) == {"status", "reason", "version", "revision"}
        assert (body["version"], body["revision"]) == ("1.2.3", revision)


def test_a_service_with_pending_migrations_is_live_and_not_ready(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"auto_migrate": False}))
    with TestClient(app) as client:
        assert client.get("/health/live").status_code == 200
        answer = client.get("/health/ready")
        described = client.get("/openapi.json").json()["paths"]["/health/ready"]["get"]
    assert answer.status_code == 503
    assert answer.json()["reason"].endswith(" pending")
    assert answer.json()["revision"] is None
    assert described["responses"].keys() == {"200", "503"}


def test_liveness_waits_for_nothing(client: Client) -> None:
    # However many requests are in work: it is answered without a turn of the event loop, so before
    # any of them, and without a connection. A time limit would only measure the machine.
    checkouts: list[object] = []
    for engine in (client.state.engine, client.state.readiness._engine):
        event.listen(engine, "checkout", lambda *call: checkouts.append(call))
    scope = {
        **{"type": "http", "method": "GET", "path": "/health/live", "query_string": b""},
        **{"headers": [(b"host", b"testserver")], "client": ("testclient", 1)},
    }
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    with pytest.raises(StopIteration):
        client.app(scope, Mock(), send).send(None)  # type: ignore[attr-defined]
    assert (sent[0]["status"], checkouts) == (200, [])


def test_each_response_has_the_request_id(client: TestClient) -> None:
    answer_with_id = client.get("/health/live", headers={"X-Request-ID": "abc-123"})
    assert answer_with_id.headers["X-Request-ID"] == "abc-123"
    forged = client.get("/health/live", headers={"X-Request-ID": "a\tb"})
    assert len(forged.headers["X-Request-ID"]) == 32
    for given, is_kept in (("x" * 64, True), ("x" * 65, False)):
        answer = client.get("/health/live", headers={"X-Request-ID": given})
        assert (answer.headers["X-Request-ID"] == given) is is_kept
    ids = {client.get("/health/live").headers["X-Request-ID"] for _ in range(2)}
    assert len(ids) == 2


def test_health_checks_answer_head_and_do_not_redirect(client: TestClient) -> None:
    for check in ("live", "ready"):
        assert client.head(f"/health/{check}").status_code == 200
        strange = client.get(f"/health/{check}/", headers={"Host": "evil.example"})
        assert (strange.status_code, strange.is_redirect) == (404, False)


def test_without_its_database_the_service_is_live_and_not_ready(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(startup, "READY_FOR_SECONDS", 0.0)
    away = OperationalError("SELECT 1", {}, ConnectionRefusedError("nobody listens"))
    away.connection_invalidated = True
    with Client(create_app(settings)) as client:
        engine = client.state.readiness._engine
        assert client.get("/health/ready").status_code == 200
        with monkeypatch.context() as outage:
            outage.setattr(startup, "is_away", lambda _: True)
            outage.setattr(type(engine), "connect", Mock(side_effect=away))
            answer = client.get("/health/ready")
            assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
            assert client.get("/health/live").status_code == 200
        assert client.get("/health/ready").status_code == 200


def test_readiness_executes_one_statement_per_second_at_most(client: Client) -> None:
    engine = client.state.readiness._engine
    assert client.get("/health/ready").status_code == 200
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    client.state.readiness._ended = -10.0
    for _ in range(20):
        assert client.get("/health/ready").status_code == 200
    assert len(statements) == 1


def test_readiness_reads_the_version_table_of_the_settings(settings: Settings) -> None:
    # Another service may use the schema, with a table of the usual name.
    own = settings.model_copy(update={"migration_version_table": "my_version"})
    with TestClient(create_app(own)) as client:
        engine = client.app.state.engine  # type: ignore[attr-defined]
        revision = get_migration_status(engine, config=config_for(own)).current
        assert revision is not None
        assert client.get("/health/ready").json()["revision"] == revision


def test_a_check_keeps_the_answer_that_it_waited_for_if_the_next_one_has_begun(
    client: Client,
) -> None:
    readiness = client.state.readiness

    async def ask() -> tuple[bool, str | None]:
        asking = asyncio.ensure_future(readiness.ask())
        await asyncio.sleep(0)
        following = asyncio.get_running_loop().create_future()
        readiness._looking.add_done_callback(lambda _: setattr(readiness, "_looking", following))
        return await asking  # type: ignore[no-any-return]

    readiness._ended = -10.0
    assert asyncio.run(ask()) == (True, None)
