"""Statements fail on purpose: no log contains their values."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from typing import Any

import psycopg
import pytest
import requests
from serving import PASSWORD, Serve, Service

pytestmark = pytest.mark.thorough

EMAIL = "ada@example.com"
STRANGER = "grace@example.com"
NAME = "Countess of Lovelace"

# Each breaks writing or reading users in another way.
BREAKS = {
    "sqlite": {
        "CREATE TRIGGER no BEFORE UPDATE ON users BEGIN SELECT RAISE(ABORT, 'no'); END": (
            "DROP TRIGGER no"
        ),
        "CREATE TRIGGER no BEFORE INSERT ON users BEGIN SELECT RAISE(ABORT, 'no'); END": (
            "DROP TRIGGER no"
        ),
        "ALTER TABLE users RENAME COLUMN name TO gone": "ALTER TABLE users RENAME gone TO name",
        "ALTER TABLE tokens RENAME TO gone": "ALTER TABLE gone RENAME TO tokens",
    },
    "postgresql": {
        "ALTER TABLE users ADD CONSTRAINT no CHECK (false) NOT VALID": (
            "ALTER TABLE users DROP CONSTRAINT no"
        ),
        "ALTER TABLE users RENAME COLUMN name TO gone": "ALTER TABLE users RENAME gone TO name",
        "ALTER TABLE tokens RENAME TO gone": "ALTER TABLE gone RENAME TO tokens",
        "ALTER TABLE tokens ADD COLUMN more text NOT NULL DEFAULT '';"
        "ALTER TABLE tokens ALTER COLUMN more DROP DEFAULT": "ALTER TABLE tokens DROP COLUMN more",
    },
}


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_no_log_contains_values_of_a_failed_statement(
    serve: Serve, empty_database: Any, database: str
) -> None:
    address = empty_database(database)
    with serve(database, address, LOG_LEVEL="DEBUG", LOG_FORMAT="console") as quiet:
        requests.get(f"{quiet.address}/health/live", timeout=20)
    failures = 0
    with serve(database, address, LOG_LEVEL="DEBUG") as service:
        token = service.sign_in(EMAIL)
        links = service.links(EMAIL)
        kept = secrets_in(address)
        begin = len(service.log.read_text())
        for broken, mended in BREAKS[database].items():
            run(address, broken)
            failures += sum(status == 500 for status in use(service, token))
            run(address, mended)
        assert failures > 8, "the statements did break"
        kept |= secrets_in(address)
        log = service.log.read_text()[begin:]
    mailed = {link.partition("#token=")[2] for link in [*links, *service.links(EMAIL)]}
    # In development the log is where mails go: these lines are the mails themselves.
    log = "\n".join(line for line in log.splitlines() if '"event": "Mail"' not in line)
    digests = {hashlib.sha256(text.encode()).hexdigest() for text in {*mailed, *kept}}
    secret = {PASSWORD, "another horse", token, EMAIL, STRANGER, NAME, *mailed, *kept, *digests}
    assert "Traceback" in log or "exc_value" in log
    assert [text for text in secret if text in log] == []


def use(service: Service, token: str) -> list[int]:
    """Send every request that writes or reads an account; return the statuses."""
    bearer = {"Authorization": f"Bearer {token}"}
    me = f"{service.address}/users/me"
    change = {"current_password": PASSWORD, "password": "another horse"}
    answers = [
        service.register(STRANGER),
        service.post("/auth/login", email=EMAIL, password=PASSWORD),
        service.post("/auth/verify-email", token="x" * 43, password=PASSWORD),
        service.post("/auth/request-verification", email=EMAIL),
        service.post("/auth/request-password-reset", email=EMAIL),
        requests.get(me, headers=bearer, timeout=20),
        requests.patch(me, json={"name": NAME}, headers=bearer, timeout=20),
        requests.post(f"{service.address}/auth/change-password", json=change, headers=bearer),
    ]
    return [answer.status_code for answer in answers]


def run(address: str, statements: str) -> list[Any]:
    """Run statements in the service's database; the rows of the last."""
    if address.startswith("sqlite"):
        connected: Any = sqlite3.connect(address.removeprefix("sqlite:///"), timeout=20)
        each = [statements]
    else:
        connected = psycopg.connect(address.replace("+psycopg", ""))
        each = statements.split(";")
    with contextlib.closing(connected) as connection:
        for statement in each:
            cursor = connection.execute(statement)
        rows = cursor.fetchall() if cursor.description else []
        connection.commit()
    return rows


def secrets_in(address: str) -> set[str]:
    """The secret values in the database."""
    query = "SELECT password_hash FROM users UNION SELECT verification_token FROM users"
    return {str(value) for (value,) in run(address, query) if value}
