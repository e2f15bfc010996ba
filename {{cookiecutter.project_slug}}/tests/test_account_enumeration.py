"""Every refusal costs the same work, so that its time does not reveal who has an account.

The tests compare the work: the calls of bcrypt with their costs, the statements and commits of
the database, the mails, and every byte of the answer.
"""

from collections.abc import Iterator
from typing import Any

import bcrypt
import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import event, update

from {{ cookiecutter.package_name }}.accounts.models import User
from {{ cookiecutter.package_name }}.accounts.passwords import Passwords
from {{ cookiecutter.package_name }}.app import create_app
from {{ cookiecutter.package_name }}.settings import Settings

from .accounts import ADA, Outbox, register, sign_in
from .client import Client
from .schema import open_session

COST = 6
OLD_COST = 4


class Work:
    """The service's work since the last call."""

    def __init__(self, client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
        self.outbox = Outbox()
        client.app.state.mailer = self.outbox  # type: ignore[attr-defined]
        self.hashing = 0
        self.statements: list[str] = []
        engine = client.app.state.engine  # type: ignore[attr-defined]
        event.listen(engine, "before_cursor_execute", self._statement)
        event.listen(engine, "commit", lambda _: self.statements.append("COMMIT"))
        event.listen(engine, "rollback", lambda _: self.statements.append("ROLLBACK"))
        for name in ("hashpw", "checkpw"):
            monkeypatch.setattr(bcrypt, name, self._counted(getattr(bcrypt, name)))

    def _statement(self, _: Any, __: Any, statement: str, *___: Any) -> None:
        self.statements.append(statement)

    def _counted(self, real: Any) -> Any:
        def run(password: bytes, salt_or_hash: bytes) -> Any:
            self.hashing += 2 ** int(salt_or_hash.split(b"$")[2])  # each step of cost doubles it
            return real(password, salt_or_hash)

        return run

    def done_for(self, answer: Response, email: str) -> tuple[Any, ...]:
        """All of it, without two texts in the answer: the given address, and a random id."""
        headers = dict(answer.headers)
        request_id = headers.pop("x-request-id")
        content = answer.text.replace(email, "<email>").replace(request_id, "<id>")
        done = (self.hashing, self.statements, len(self.outbox.mails), len(answer.content))
        self.hashing, self.statements = 0, []
        self.outbox.mails.clear()
        return (*done, answer.status_code, headers, content)


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    """The running service, with a higher cost than its first accounts."""
    with Client(create_app(settings.model_copy(update={"bcrypt_cost": COST}))) as client:
        yield client


def change(client: TestClient, email: str, **values: Any) -> None:
    with open_session(client.app.state.engine) as session:  # type: ignore[attr-defined]
        session.execute(update(User).where(User.email == email).values(**values))
        session.commit()


def test_registering_a_taken_address_costs_the_same_as_a_free_one(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work(client, monkeypatch)
    done = []
    for email in ("ada@example.com", "ada@example.com", "bob@example.com"):
        answer = client.post("/auth/register", json={**ADA, "email": email})
        assert answer.status_code == 201
        done.append(work.done_for(answer, email))
    free, taken, also_free = done
    assert taken == free == also_free
    assert taken[0] == 2**COST
    assert taken[2] == 1


def test_each_refused_sign_in_costs_the_same(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work(client, monkeypatch)
    for name in ("wrong", "close", "older"):
        assert register(client, work.outbox, f"{name}@example.com").status_code == 200
    change(client, "close@example.com", is_active=False)
    change(client, "older@example.com", password_hash=Passwords(OLD_COST).hash("another one"))
    client.post("/auth/register", json={**ADA, "email": "fresh@example.com"})  # not confirmed
    work.done_for(sign_in(client, "nobody@example.com"), "")

    attempts = {
        "unknown": ("nobod@example.com", ADA["password"]),
        "wrong password": ("wrong@example.com", "wrong horse battery"),
        "unconfirmed": ("fresh@example.com", ADA["password"]),
        "closed": ("close@example.com", ADA["password"]),
        "kept at a lower cost": ("older@example.com", "wrong horse battery"),
    }
    done = {
        reason: work.done_for(sign_in(client, email, password), email)
        for reason, (email, password) in attempts.items()
    }
    for reason, what in done.items():
        assert what == done["unknown"], reason
    hashing, statements, mails, _, status, *_ = done["unknown"]
    assert (hashing, mails, status) == (2**COST, 0, 401)
    assert statements
