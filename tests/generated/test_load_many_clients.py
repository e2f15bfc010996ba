"""Many clients at once: no backlog, and too many requests are refused at once."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import requests
from serving import PASSWORD, Serve, Service

from tools.services import DATABASES

pytestmark = pytest.mark.thorough

EMAIL = "ada@example.com"
PROMISED_SECONDS = 0.1
HAMMER = str(Path(__file__).parents[1] / "hammer.py")

each_database = pytest.mark.parametrize("database", DATABASES)


@each_database
def test_many_clients_are_served_and_health_answers_meanwhile(
    serve: Serve, empty_database: Any, database: str
) -> None:
    with serve(database, empty_database(database)) as service:
        service, mixed = with_requests(service, database)
        rates = {}
        for clients, rounds in ((10, 4), (100, 1), (500, 1)):
            outcome, waited = hammer(service, clients, rounds, mixed)
            # Hashing is the slowest step, so most clients wait there; requests that are too many,
            # or have waited for 10 seconds, get 503. There is no other failure.
            found = {name.split(" ", 2)[2] for name in outcome["statuses"]}
            assert {"200"} <= found <= {"200", "503 again"}, outcome
            if clients <= 100:
                assert outcome["statuses"]["GET /users/me 200"] == clients * rounds * 2
                assert outcome["statuses"]["PATCH /users/me 200"] == clients * rounds * 2
            rates[clients] = sum(outcome["statuses"].values()) / outcome["seconds"]
            assert median(waited) < PROMISED_SECONDS
        assert rates[500] > rates[10] / 3, rates


@each_database
def test_too_many_requests_are_refused_at_once_with_retry_after(
    serve: Serve, empty_database: Any, database: str
) -> None:
    limits = {"MAX_WAITING_REQUESTS": "5", "MAX_WAITING_SIGN_INS": "5", "DB_POOL_MAX": "2"}
    with serve(database, empty_database(database), **limits) as service:
        service, mixed = with_requests(service, database)
        outcome, _ = hammer(service, 200, 1, mixed)
        statuses = {name.partition(" ")[2].partition(" ")[2] for name in outcome["statuses"]}
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


def hammer(
    service: Service, clients: int, rounds: int, mixed: list[str]
) -> tuple[dict[str, Any], list[float]]:
    """The answers, and the times of /health/live meanwhile."""
    host, _, port = service.address.removeprefix("http://").partition(":")
    plan = {"host": host, "port": int(port), "clients": clients, "rounds": rounds}
    command, pipe = [sys.executable, HAMMER], subprocess.PIPE
    waited = []
    with (
        subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process,
        requests.Session() as session,
    ):
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps({**plan, "requests": mixed}))
        process.stdin.close()
        while process.poll() is None:
            began = time.perf_counter()
            assert session.get(f"{service.address}/health/live", timeout=20).status_code == 200
            waited.append(time.perf_counter() - began)
            time.sleep(0.05)
        outcome: dict[str, Any] = json.loads(process.stdout.read())
    return outcome, waited
