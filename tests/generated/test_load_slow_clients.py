"""Clients that send slowly or never, or never read: they are disconnected, and others go on."""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
import requests
from proxy import proxy_to
from serving import Serve, Service, process_of

pytestmark = pytest.mark.thorough

HEAD = b"POST /auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\n"
BODY = b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
WHOLE = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
LARGE = b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "connections"),
    [
        pytest.param(b"", 500, id="silent"),
        pytest.param(b"\r\n", 20, id="an empty line"),
        pytest.param(HEAD, 20, id="half a head"),
        pytest.param(HEAD + BODY, 20, id="half a body"),
        pytest.param(WHOLE + HEAD, 20, id="half a second head"),
        pytest.param(LARGE * 90, 5, id="never reads"),
    ],
)
def test_a_stalled_client_is_disconnected_and_others_are_served(
    serve: Serve, empty_database: Any, sent: bytes, connections: int
) -> None:
    with serve("sqlite", empty_database("sqlite"), CLIENT_TIMEOUT="1") as service:
        process = process_of(service)
        with clients(service, connections, sent):
            wait_for_connections(process, connections)
            assert requests.get(f"{service.address}/health/live", timeout=20).ok
            wait_for_connections(process, 0)


def test_sigterm_ends_the_process_despite_open_connections(
    serve: Serve, empty_database: Any
) -> None:
    variables = {"CLIENT_TIMEOUT": "600", "SHUTDOWN_TIMEOUT": "4"}
    with (
        contextlib.ExitStack() as stack,
        serve("sqlite", empty_database("sqlite"), **variables) as service,
    ):
        for sent in (b"", HEAD, HEAD + BODY, LARGE * 90):
            stack.enter_context(clients(service, 3, sent))
        # Leaving the block sends SIGTERM, and fails unless the process ends by itself with 0.
    assert '"exception"' not in service.log.read_text()


def test_sigterm_ends_the_process_while_the_database_does_not_answer(
    serve: Serve, postgres: str
) -> None:
    with (
        proxy_to(postgres) as (proxy, address),
        contextlib.suppress(AssertionError),
        serve("postgresql", address, SHUTDOWN_TIMEOUT="4") as service,
    ):
        process = process_of(service)
        token = service.sign_in("ada@example.com")
        proxy.freeze()
        asks = f"GET /users/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
        with clients(service, 2, asks.encode()):
            time.sleep(0.5)
            process.send_signal(signal.SIGTERM)
            process.wait(20)
    # It exits 1 with a message, since running work is lost.
    assert "Ended at once" in service.log.read_text()


@contextlib.contextmanager
def clients(service: Service, number: int, sent: bytes) -> Iterator[None]:
    """Connections that send something and then neither send nor read."""
    host, _, port = service.address.removeprefix("http://").partition(":")
    with contextlib.ExitStack() as stack:
        for _ in range(number):
            connection = stack.enter_context(socket.create_connection((host, int(port))))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                connection.send(sent)
        yield


def wait_for_connections(process: psutil.Process, number: int) -> None:
    """Wait until the process has this number of client connections."""
    end = time.monotonic() + 60
    while True:
        held = [c for c in process.net_connections("tcp") if c.status == "ESTABLISHED"]
        held += [c for c in process.net_connections("tcp") if c.status == "CLOSE_WAIT"]
        if len(held) >= number > 0 or len(held) == number:
            return
        assert time.monotonic() < end, len(held)
        time.sleep(0.1)
