"""The HTTP server closes the connections of clients that do not go on, and ends in time."""

import asyncio
import contextlib
import gc
import itertools
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
import uvicorn
from starlette.types import Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, get_contextvars

from {{ cookiecutter.package_name }}.settings import Settings
from {{ cookiecutter.package_name }}.web import http_server

WHOLE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"


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
        gc.unfreeze()


def test_the_server_sends_no_server_header_and_ignores_x_forwarded_for(
    impatient: tuple[Any, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_connection(impatient[1]) as client:
        client.settimeout(60)
        head = b"Host: x\r\nConnection: close\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n"
        client.sendall(b"GET /errors HTTP/1.1\r\n" + head)
        answer = _all_received(client)
    assert answer.startswith(b"HTTP/1.1 200") and b"\r\nserver:" not in answer.lower()
    logged = capsys.readouterr().err
    assert "client=127.0.0.1" in logged and "192.0.2.7" not in logged
    assert logged.count("/errors") == 1  # uvicorn writes no line of its own
    assert not logging.getLogger("uvicorn").handlers  # its errors are logged as the service's are


def test_the_server_closes_the_connection_of_a_client_that_sends_nothing(
    impatient: tuple[Any, Any],
) -> None:
    with socket.create_connection(impatient[1]) as client:
        client.settimeout(60)
        assert _received(client) == b""


def test_the_server_closes_the_connection_of_a_client_that_stops_sending(
    impatient: tuple[Any, Any],
) -> None:
    with socket.create_connection(impatient[1]) as client:
        client.settimeout(60)
        client.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        answer = _all_received(client)
    assert answer.startswith(b"HTTP/1.1 200")


def test_a_body_has_a_time_limit_if_its_head_came_together_with_an_earlier_request(
    impatient: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, address = impatient
    monkeypatch.setattr(server.config, "timeout_keep_alive", 600)  # uvicorn's own limit
    with socket.create_connection(address) as client:
        client.settimeout(20)
        client.sendall(WHOLE + b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        assert _all_received(client).startswith(b"HTTP/1.1 200")


def test_a_client_that_sends_its_head_byte_by_byte_gets_no_more_time(
    impatient: tuple[Any, Any],
) -> None:
    server, address = impatient
    with socket.create_connection(address) as client:
        client.settimeout(0.05)
        client.sendall(b"GET /health/live HTTP/1.1\r\nX: ")
        last, is_closed = server.looks + 5, False
        while not is_closed and server.looks < last:
            try:
                client.send(b"y")
                is_closed = _received(client) == b""
            except TimeoutError:
                continue
            except OSError:
                is_closed = True
    assert is_closed


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


def test_garbage_collection_skips_what_was_made_before_the_first_request(
    impatient: tuple[Any, Any],
) -> None:
    server, _ = impatient
    while not server.looks:
        time.sleep(0.01)
    assert gc.get_freeze_count() > 10_000


def test_requests_end_two_seconds_before_the_process_does(settings: Settings) -> None:
    limited = settings.model_copy(update={"shutdown_timeout": 20.0})
    assert http_server.server_for("", limited).config.timeout_graceful_shutdown == 18


def test_a_process_whose_time_is_up_fails_and_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    http_server._end()
    assert codes == [1]
    assert "when the time was up" in capsys.readouterr().err


def test_a_process_that_ends_in_time_does_not_wait_for_its_time_limit() -> None:
    before = set(threading.enumerate())
    http_server.Server(uvicorn.Config("", log_config=None), 3600).handle_exit(signal.SIGTERM, None)
    (timer,) = set(threading.enumerate()) - before
    assert isinstance(timer, threading.Timer) and timer.daemon
    timer.cancel()


def test_a_process_is_ended_when_the_time_limit_of_its_shutdown_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended = threading.Semaphore(0)
    monkeypatch.setattr(http_server, "_end", ended.release)
    server = http_server.Server(uvicorn.Config("", log_config=None), 0.01)
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


def test_a_client_that_reads_slowly_keeps_its_connection(
    impatient: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, address = impatient

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for more in itertools.chain(itertools.repeat(True, 10_000), [False]):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": more})

    _serve(server, app, monkeypatch)
    with socket.create_connection(address) as client:
        client.settimeout(60)
        client.sendall(WHOLE)
        looks = server.looks + 3
        while server.looks < looks:
            assert _received(client)
            time.sleep(0.005)


def test_the_server_accepts_clients_that_connect_at_once_in_a_few_turns_of_its_event_loop(
    impatient: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, address = impatient
    connected, turns, accepted = threading.Event(), [0], list[int]()
    connection_made = server.config.http.connection_made

    def count_turns(loop: Any) -> None:
        turns[0] += 1
        if len(accepted) < 64:
            loop.call_soon(count_turns, loop)

    def note_turn(self: Any, transport: Any) -> None:
        if not accepted:
            connected.wait(60)
            count_turns(self.loop)
        accepted.append(turns[0])
        connection_made(self, transport)

    monkeypatch.setattr(server.config.http, "connection_made", note_turn)
    clients = [socket.create_connection(address) for _ in range(64)]
    connected.set()
    end = time.monotonic() + 60
    while len(accepted) < 64:
        assert time.monotonic() < end
        time.sleep(0.01)
    for client in clients:
        client.close()
    assert accepted[-1] < 16


@pytest.mark.parametrize(("then", "is_kept"), [(1, False), (0, True)])
def test_the_server_closes_the_connection_of_a_client_that_leaves_the_end_of_an_answer(
    impatient: tuple[Any, Any], then: int, is_kept: bool
) -> None:
    # uvicorn pauses if 64 kB wait for the client, and closes a connection when nothing waits.
    server, address = impatient
    with socket.create_connection(address) as client:
        client.settimeout(60)
        client.sendall(WHOLE)
        assert _received(client).startswith(b"HTTP/1.1 200")
        (connection,) = server.server_state.connections
        connection.transport = waiting = Mock(wraps=connection.transport)
        waiting.get_write_buffer_size.side_effect = itertools.chain([1], itertools.repeat(then))
        waiting.close.side_effect = lambda: None
        looks, connections = server.looks + 3, server.server_state.connections
        while connection in connections and server.looks < looks:
            time.sleep(0.01)
        assert (connection in connections) is is_kept


@pytest.mark.parametrize(
    ("before", "part"), [(b"", b"X-Long: " + b"x" * 60_000), (WHOLE, b"X: y\r\n" * 10_000)]
)
def test_a_head_that_is_too_large_is_refused_before_its_end(
    impatient: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch, before: bytes, part: bytes
) -> None:
    server, address = impatient
    monkeypatch.setattr(server.config.http, "patience", 600.0)
    with socket.create_connection(address) as client:
        client.settimeout(60)
        client.sendall(before)
        assert not before or _received(client).startswith(b"HTTP/1.1 200")
        client.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n" + part)
        assert _all_received(client).startswith(b"HTTP/1.1 431")


def test_headers_after_a_body_in_chunks_have_the_same_limit(
    impatient: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, address = impatient
    monkeypatch.setattr(server.config.http, "patience", 600.0)
    with socket.create_connection(address) as client:
        client.settimeout(60)
        head = b"POST /auth/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        with contextlib.suppress(OSError):
            client.sendall(head + b"2\r\n{}\r\n0\r\n" + b"X: y\r\n" * 10_000)
        assert _received(client) == b""


def test_a_large_body_arrives_and_its_client_may_begin_another_request_during_the_answer(
    impatient: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, address = impatient
    body, has_arrived = bytearray(), threading.Event()

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        message: Message = {"more_body": True}
        while message.get("more_body"):
            message = await receive()
            body.extend(message.get("body", b""))
        has_arrived.set()
        looks = server.looks + 2
        while server.looks < looks:
            await asyncio.sleep(0.01)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    _serve(server, app, monkeypatch)
    with socket.create_connection(address) as client:
        client.settimeout(60)
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        client.sendall(b"x" * 100_000)
        assert has_arrived.wait(60)
        client.sendall(b"GET")
        assert _received(client).startswith(b"HTTP/1.1 204")
    assert len(body) == 100_000


@pytest.mark.parametrize(("requests", "are_answered"), [(100, True), (1000, False)])
def test_a_client_may_send_a_limited_number_of_requests_ahead(
    impatient: tuple[Any, Any], requests: int, are_answered: bool
) -> None:
    with socket.create_connection(impatient[1]) as client:
        client.settimeout(60)
        said = b""
        with contextlib.suppress(OSError):
            client.sendall(WHOLE * requests)
        while said.count(b"HTTP/1.1 200") < requests and (received := _received(client)):
            said += received
    assert (said.count(b"HTTP/1.1 200") == requests) is are_answered


def test_a_request_sent_ahead_does_not_have_the_user_of_the_one_before_in_its_log(
    impatient: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, address = impatient
    contexts: list[dict[str, Any]] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        contexts.append(get_contextvars())
        bind_contextvars(user="ada")
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    _serve(server, app, monkeypatch)
    with socket.create_connection(address) as client:
        client.settimeout(60)
        client.sendall(WHOLE * 2)
        while len(contexts) < 2:
            assert _received(client)
    assert contexts == [{}, {}]


def _serve(server: Any, app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Serve another application to those who connect from now on."""
    while not server.looks:
        time.sleep(0.01)
    monkeypatch.setattr(server.config, "loaded_app", app)


def _received(client: socket.socket) -> bytes:
    try:
        return client.recv(65536)
    except ConnectionResetError:
        return b""


def _all_received(client: socket.socket) -> bytes:
    """Everything until the server closes the connection."""
    return b"".join(iter(lambda: _received(client), b""))
