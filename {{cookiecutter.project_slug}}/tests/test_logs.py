"""Logs are JSON in production and never show a secret."""

import asyncio
import json
import logging
from unittest.mock import AsyncMock

import pytest
import structlog
from starlette.types import Receive, Scope, Send

from {{ cookiecutter.package_name }}.app import create_app
from {{ cookiecutter.package_name }}.observability.logging import configure_logging
from {{ cookiecutter.package_name }}.settings import Settings
from {{ cookiecutter.package_name }}.web.request_log import PROBES, RequestLog

from .accounts import Outbox, authorize, register
from .client import Client


@pytest.fixture(autouse=True)
def _json_logs(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", as_json=True)


def test_a_log_line_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    structlog.stdlib.get_logger("test").info("hello", answer=42)
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["answer"], line["level"]) == ("hello", 42, "info")


def test_secrets_are_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    structlog.stdlib.get_logger("test").info(
        "connecting to postgresql://user:hunter2@host/db", password="hunter2", jwt_token="hunter2"
    )
    assert "hunter2" not in capsys.readouterr().err


def lines_of_requests(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    every = map(json.loads, capsys.readouterr().err.splitlines())
    return [line for line in every if line["event"] == "request"]


def test_the_log_line_of_a_request_has_the_user_and_the_client(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    behind_proxy = {"trusted_proxies": ("testclient",), "log_format": "json"}
    with Client(create_app(settings.model_copy(update=behind_proxy))) as client:
        client.state.mailer = outbox = Outbox()
        headers = authorize(register(client, outbox))
        capsys.readouterr()
        user = client.get("/users/me", headers={**headers, "X-Forwarded-For": "192.0.2.7"})
    (line,) = lines_of_requests(capsys)
    assert (line["client"], line["user"]) == ("192.0.2.7", user.json()["id"])


def test_the_log_line_of_a_request_has_its_id_and_what_was_asked_and_answered(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with Client(create_app(settings.model_copy(update={"log_format": "json"}))) as client:
        capsys.readouterr()
        answer = client.post("/nowhere?token=hunter2", headers={"X-Request-ID": "abc-123"})
    (line,) = lines_of_requests(capsys)
    assert (line["method"], line["path"]) == ("POST", "/nowhere")
    assert (line["status"], line["code"]) == (answer.status_code, "path-unknown")
    assert line["request_id"] == "abc-123"


def test_a_request_that_fails_is_logged_with_its_id_and_its_traceback(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    app = create_app(settings.model_copy(update={"log_format": "json"}))

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("out of paper")

    with Client(app) as client, pytest.raises(RuntimeError):  # which the server gets too
        capsys.readouterr()
        client.get("/broken", headers={"X-Request-ID": "abc-123"})
    every = map(json.loads, capsys.readouterr().err.splitlines())
    (line,) = [line for line in every if line["event"] == "request failed"]
    assert (line["method"], line["path"], line["request_id"]) == ("GET", "/broken", "abc-123")
    assert line["exception"][0]["exc_value"] == "out of paper"


def test_an_answer_in_several_parts_is_one_line(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with Client(create_app(settings.model_copy(update={"log_format": "json"}))) as client:
        capsys.readouterr()
        assert client.get("/docs/assets/swagger-ui-bundle.js").status_code == 200
    assert len(lines_of_requests(capsys)) == 1


def test_an_answer_is_observed_once_after_its_last_part() -> None:
    observed: list[object] = []
    counts: list[int] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 201, "headers": []})
        for more in (True, False):
            counts.append(len(observed))
            await send({"type": "http.response.body", "body": b"x", "more_body": more})

    scope: Scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "client": None}
    log = RequestLog(app, {}, lambda _, status, *__: observed.append(status))
    asyncio.run(log(scope, AsyncMock(), AsyncMock()))
    assert (counts, observed) == ([0, 0], [201])


def test_probes_are_logged_at_debug(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    for level, logged in (("INFO", ["/nowhere"]), ("DEBUG", [*PROBES, "/nowhere"])):
        loud = {"log_level": level, "log_format": "json"}
        with Client(create_app(settings.model_copy(update=loud))) as client:
            capsys.readouterr()
            for path in (*PROBES, "/nowhere"):
                client.get(path)
        assert [line["path"] for line in lines_of_requests(capsys)] == logged


def test_a_request_that_a_shutdown_cancels_has_no_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("INFO", as_json=False)
    for error, logged in ((asyncio.CancelledError("time is up"), False), (OSError(), True)):
        logging.getLogger("uvicorn.error").error("Exception in ASGI application", exc_info=error)
        assert bool(capsys.readouterr().err) == logged


def test_control_characters_from_clients_are_escaped_in_the_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("INFO", as_json=False)
    log = structlog.stdlib.get_logger("test")
    log.info("first\n2026 [info] forged", path="/\x1b[2J\x9b31m\u202e")
    try:
        raise ValueError("\x1b[2J")
    except ValueError:
        log.exception("failed")
    output = capsys.readouterr().err
    assert not set("\x1b\x9b\u202e") & set(output)
    assert "first\\n2026" in output and "\\x1b[2J" in output
