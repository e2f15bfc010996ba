"""Promises that a small mistake could break unnoticed."""

import signal
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi.testclient import TestClient
from sqlalchemy import Engine, QueuePool, select, update
from sqlalchemy.exc import OperationalError

from {{ cookiecutter.package_name }}.accounts.models import User
from {{ cookiecutter.package_name }}.app import create_app
from {{ cookiecutter.package_name }}.database.backend import connect
from {{ cookiecutter.package_name }}.mail import Mail, SmtpMailer
from {{ cookiecutter.package_name }}.settings import Settings
from {{ cookiecutter.package_name }}.web import http_server, outages

from .accounts import ADA, Outbox, authorize, register, with_connections
from .client import Client
from .schema import open_session, prepare


def test_responses_are_not_cached_and_contain_no_password_hash(
    client: TestClient, outbox: Outbox
) -> None:
    answer = client.get("/users/me", headers=authorize(register(client, outbox)))
    assert answer.headers["Cache-Control"] == "no-store"
    assert set(answer.json()) == {
        *("id", "email", "name", "email_verified"),
        *("last_login_at", "created_at", "updated_at"),
    }
    assert {mail.to for mail in outbox.mails} == {ADA["email"]}
    for path in ("register", "request-password-reset"):
        client.post(f"/auth/{path}", json=ADA)
        assert outbox.mails[-1].to == ADA["email"]


def test_the_policy_of_the_api_page_allows_only_its_own_scripts(client: TestClient) -> None:
    policy = client.get("/docs").headers["Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert (rules["default-src"], rules["frame-ancestors"]) == ("'none'", "'none'")
    assert rules["connect-src"] == "'self'"
    assert rules["style-src"] == "'self' 'unsafe-inline'"
    own, digest = rules["script-src"].split(" ")
    assert own == "'self'" and digest.startswith("'sha256-")


def test_mail_is_sent_only_to_servers_with_a_valid_certificate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[ssl.SSLContext] = []

    def note(*_: Any, context: ssl.SSLContext, **__: Any) -> None:
        seen.append(context)
        raise OSError("enough is known")

    monkeypatch.setattr(smtplib, "SMTP_SSL", note)
    settings = Settings(_env_file=None, smtp_host="127.0.0.1", smtp_tls="implicit")
    with pytest.raises(OSError, match="enough"):
        SmtpMailer(settings).send(Mail("ada@example.com", "", "", ""))
    assert seen[0].verify_mode is ssl.CERT_REQUIRED and seen[0].check_hostname


@pytest.mark.parametrize(("least", "kept"), [(None, 5), (2, 2)])
def test_idle_connections_stay_open_up_to_db_pool_min(
    settings: Settings, tmp_path: Path, least: int | None, kept: int
) -> None:
    several = with_connections(settings, tmp_path).model_copy(update={"db_pool_min": least})
    engine = connect(several)
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(engine.connect())
    pool = engine.pool
    assert isinstance(pool, QueuePool) and pool.checkedin() == kept
    engine.dispose()


def test_parallel_transactions_that_read_and_then_write_all_succeed(
    settings: Settings, tmp_path: Path
) -> None:
    # Two engines, as in two processes: each queues its own writers.
    engines = [connect(with_connections(settings, tmp_path)) for _ in range(2)]
    prepare(engines[0])
    with open_session(engines[0]) as session:
        session.add(User(email="ada@example.com", name="0", password_hash="!"))
        session.commit()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count_up, engines * 20))
    for engine in engines:
        engine.dispose()


def test_reading_a_user_does_not_wait_for_writers(settings: Settings, tmp_path: Path) -> None:
    with Client(create_app(with_connections(settings, tmp_path))) as client:
        client.state.mailer = outbox = Outbox()
        headers = authorize(register(client, outbox))
        with open_session(client.state.engine) as session:
            session.execute(update(User).values(name="Eve"))
            assert client.get("/users/me", headers=headers).json()["name"] == ADA["name"]


def count_up(engine: Engine) -> None:
    with open_session(engine) as session:
        user = session.scalars(select(User)).one()
        time.sleep(0.001)
        user.name = str(int(user.name) + 1)
        session.commit()


def test_only_an_unreachable_database_answers_503_and_the_log_says_why(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app = create_app(settings)
    away, wrong = Exception("nobody listens\nin detail"), Exception("no such table")

    @app.get("/broken/{how}")
    async def broken(how: str) -> None:
        raise OperationalError("SELECT 1", {}, away if how == "away" else wrong)

    monkeypatch.setattr(outages, "is_away", lambda error: error.orig is away)
    with Client(app, raise_server_exceptions=False) as client:
        capsys.readouterr()
        answer = client.get("/broken/away")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        logged = capsys.readouterr().err
        assert "nobody listens" in logged
        assert "in detail" not in logged and "Traceback" not in logged
        assert client.get("/broken/wrong").status_code == 500


@pytest.fixture
def impatient(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    """A server that waits 0.2 s for a client, and its address."""
    monkeypatch.setenv("ENVIRONMENT", "test")
    if settings.test_database_url is not None:
        address = settings.test_database_url.get_secret_value()
        monkeypatch.setenv("TEST_DATABASE_URL", address)
    patient = settings.model_copy(update={"client_timeout": 0.2})
    server = http_server.server_for("{{ cookiecutter.package_name }}.app:create_app", patient)
    look = server._end_overdue
    server.looks = 0  # type: ignore[attr-defined]

    def count_and_look() -> None:
        server.looks += 1  # type: ignore[attr-defined]
        look()

    monkeypatch.setattr(server, "_end_overdue", count_and_look)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        yield server, listener.getsockname()
        server.should_exit = True
        thread.join()


def test_the_server_sends_no_server_header_and_ignores_x_forwarded_for(
    impatient: tuple[Any, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_connection(impatient[1]) as client:
        client.settimeout(60)
        head = b"Host: x\r\nConnection: close\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n"
        client.sendall(b"GET /errors HTTP/1.1\r\n" + head)
        said = b""
        while received := _received(client):
            said += received
    assert said.startswith(b"HTTP/1.1 200") and b"\r\nserver:" not in said.lower()
    logged = capsys.readouterr().err
    assert "client=127.0.0.1" in logged and "192.0.2.7" not in logged


def test_the_server_closes_the_connection_of_a_client_that_stops_sending(
    impatient: tuple[Any, Any],
) -> None:
    with socket.create_connection(impatient[1]) as client:
        client.settimeout(60)
        client.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        said = b""
        while received := _received(client):
            said += received
    assert said.startswith(b"HTTP/1.1 200")


def test_the_server_closes_a_kept_connection_with_an_incomplete_request(
    impatient: tuple[Any, Any],
) -> None:
    with socket.create_connection(impatient[1]) as client:
        client.settimeout(60)
        client.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert _received(client).startswith(b"HTTP/1.1 200")
        client.sendall(b"GET /health/li")
        assert _received(client) == b""


def test_the_server_keeps_a_connection_before_its_time_limit(
    impatient: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, address = impatient
    monkeypatch.setattr(server.config.http, "patience", 60.0)
    with socket.create_connection(address) as client:
        client.settimeout(60)
        client.sendall(b"GET /health/live HTTP/1.1\r\n")
        looks = server.looks + 2
        while server.looks < looks:
            time.sleep(0.01)
        client.sendall(b"Host: x\r\n\r\n")
        assert _received(client).startswith(b"HTTP/1.1 200")


def test_a_process_is_ended_when_the_time_limit_of_its_shutdown_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended = threading.Semaphore(0)
    monkeypatch.setattr(http_server, "_end", ended.release)
    server = http_server.Server(uvicorn.Config(""), 0.01)
    for _ in range(2):  # the second signal changes nothing
        server.handle_exit(signal.SIGTERM, None)
    assert server.should_exit
    assert ended.acquire(timeout=60)
    assert not ended.acquire(timeout=0.1)


def test_the_server_closes_the_connection_of_a_client_that_never_reads(
    impatient: tuple[Any, Any],
) -> None:
    server, address = impatient
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(60)
        client.connect(address)
        client.sendall(b"GET /docs/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
        end = time.monotonic() + 60
        while not server.server_state.connections:
            assert time.monotonic() < end
            time.sleep(0.01)
        while server.server_state.connections:
            assert time.monotonic() < end
            time.sleep(0.05)


def _received(client: socket.socket) -> bytes:
    try:
        return client.recv(65536)
    except ConnectionResetError:
        return b""
