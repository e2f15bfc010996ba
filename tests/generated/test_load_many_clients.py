"""Many clients at once: no backlog, and too many requests are refused at once.

No test asserts a time: it would measure the machine. The service's own tests show that
``/health/live`` waits for nothing (``test_health``), and that an answer costs no more work while
more clients wait (``test_lanes``). ``benchmarks/results/liveness.md`` has milliseconds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import requests
from serving import PASSWORD, Serve, Service

from tools.services import DATABASES

pytestmark = pytest.mark.thorough

EMAIL = "ada@example.com"
HAMMER = str(Path(__file__).parents[1] / "hammer.py")

each_database = pytest.mark.parametrize("database", DATABASES)


@each_database
def test_many_clients_are_served_and_health_answers_meanwhile(
    serve: Serve, empty_database: Any, database: str
) -> None:
    with serve(database, empty_database(database)) as service:
        service, mixed = with_requests(service, database)
        for clients, rounds in ((10, 8), (100, 1), (500, 1)):
            outcome = hammer(service, clients, rounds, mixed)
            # Hashing is the slowest step, so most clients wait there; requests that are too many,
            # or have waited for 10 seconds, get 503. There is no other failure.
            found = {name.split(" ", 2)[2] for name in outcome}
            assert {"200"} <= found <= {"200", "503 again"}, outcome
            if clients <= 100:
                assert outcome["GET /users/me 200"] == clients * rounds * 2
                assert outcome["PATCH /users/me 200"] == clients * rounds * 2


@each_database
def test_too_many_requests_are_refused_at_once_with_retry_after(
    serve: Serve, empty_database: Any, database: str
) -> None:
    limits = {"MAX_WAITING_REQUESTS": "5", "MAX_WAITING_SIGN_INS": "5", "DB_POOL_MAX": "2"}
    with serve(database, empty_database(database), **limits) as service:
        service, mixed = with_requests(service, database)
        outcome = hammer(service, 200, 1, mixed)
        statuses = {name.partition(" ")[2].partition(" ")[2] for name in outcome}
        assert statuses == {"200", "503 again"}, outcome
        answer = requests.get(f"{service.address}/health/ready", timeout=20)
        assert answer.status_code == 200


def with_requests(service: Service, database: str) -> tuple[Service, list[str]]:
    """The service, with a tenant if there are any, and the headers of a signed-in user."""
    if database == "postgresql-multi-tenant":
        service = service.with_tenant("initech")
    token = service.sign_in(EMAIL)
    credentials = json.dumps({"email": EMAIL, "password": PASSWORD})
    name = json.dumps({"name": "Countess of Lovelace"})
    bearer = {"Authorization": f"Bearer {token}"}
    get = request("GET", "/users/me", {**service.headers, **bearer})
    patch = request("PATCH", "/users/me", {**service.headers, **bearer}, name)
    login = request("POST", "/auth/login", service.headers, credentials)
    return service, [get, patch, get, patch, login]


def request(method: str, path: str, headers: dict[str, str], body: str = "") -> str:
    """The bytes of a request."""
    every = {"Host": "127.0.0.1", **headers}
    if body:
        every |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in every.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n{body}"


def hammer(service: Service, clients: int, rounds: int, mixed: list[str]) -> Counter[str]:
    """The answers. Meanwhile /health/live answers each time."""
    host, _, port = service.address.removeprefix("http://").partition(":")
    plan = {"host": host, "port": int(port), "clients": clients, "rounds": rounds}
    command, pipe = [sys.executable, HAMMER], subprocess.PIPE
    with (
        subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process,
        requests.Session() as session,
    ):
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps({**plan, "requests": mixed}))
        process.stdin.close()
        while process.poll() is None:
            assert session.get(f"{service.address}/health/live", timeout=60).status_code == 200
            time.sleep(0.05)
        return Counter(json.loads(process.stdout.read()))
