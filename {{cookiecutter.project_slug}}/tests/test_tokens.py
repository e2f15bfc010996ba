"""Only this service's own tokens are valid, until they expire and for their purpose."""

import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

import jwt
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from {{ cookiecutter.package_name }}.accounts.models import Token, User
from {{ cookiecutter.package_name }}.accounts.tokens import Tokens, find_holder
from {{ cookiecutter.package_name }}.database.types import utc_now
from {{ cookiecutter.package_name }}.settings import Settings

from .accounts import Outbox, register

SETTINGS = Settings(_env_file=None)


def someone(session: Session) -> User:
    user = User(email="ada@example.com", name="Ada", password_hash="!")
    session.add(user)
    session.flush()
    return user


def test_a_token_is_read_only_for_the_purpose_it_was_issued_for(session: Session) -> None:
    tokens, user = Tokens(SETTINGS, {}), someone(session)
    claims = tokens.read(tokens.issue(session, user, "access"), "access")
    assert claims is not None and claims.user_id == user.id
    assert find_holder(session, claims) is user
    assert tokens.read(tokens.issue(session, user, "password-reset"), "access") is None


def test_an_expired_token_is_refused(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, user = Tokens(SETTINGS, {}), someone(session)
    token = tokens.issue(session, user, "access")
    assert tokens.read(token, "access") is not None
    later = time.time() + 3601
    monkeypatch.setattr(time, "time", lambda: later)
    assert tokens.read(token, "access") is None


def test_a_token_of_one_tenant_is_refused_by_another(session: Session) -> None:
    acme, globex = Tokens(SETTINGS, {"tenant": "acme"}), Tokens(SETTINGS, {"tenant": "globex"})
    user = someone(session)
    token = acme.issue(session, user, "access")
    assert acme.read(token, "access") is not None
    assert globex.read(token, "access") is None
    assert globex.read(Tokens(SETTINGS, {}).issue(session, user, "access"), "access") is None


def test_issuing_a_token_deletes_expired_ones(session: Session) -> None:
    tokens, user = Tokens(SETTINGS, {}), someone(session)
    for _ in range(3):
        tokens.issue(session, user, "access")
    session.execute(update(Token).values(expires_at=utc_now() - timedelta(seconds=1)))
    tokens.issue(session, user, "access")
    session.flush()
    assert session.scalar(select(func.count()).select_from(Token)) == 1


def test_a_token_with_other_claims_is_refused(client: TestClient, outbox: Outbox) -> None:
    token, key = token_and_key(client, outbox)
    assert status(client, token) == 200
    claims = jwt.decode(token, options={"verify_signature": False})
    others: list[dict[str, Any]] = [
        {"exp": 1_000_000_000},
        {"iss": "another-service"},
        {"aud": "password-reset"},
        {"sub": str(uuid4())},
        {"sub": "not an id"},
        {"pwd": "0" * 16},
        {"jti": uuid4().hex},
        {"jti": "not an id"},
    ]
    for other in others:
        assert status(client, jwt.encode({**claims, **other}, key, "HS256")) == 401, other
    for name in claims:
        rest = {kept: value for kept, value in claims.items() if kept != name}
        assert status(client, jwt.encode(rest, key, "HS256")) == 401, name


def test_a_token_that_this_service_did_not_sign_is_refused(
    client: TestClient, outbox: Outbox
) -> None:
    token, key = token_and_key(client, outbox)
    claims = jwt.decode(token, options={"verify_signature": False})
    head, body, signature = token.split(".")
    other = "A" if signature[0] != "A" else "B"
    forged = [
        jwt.encode(claims, None, "none"),
        jwt.encode(claims, "another key, which is also long enough", "HS256"),
        jwt.encode(claims, key * 2, "HS512"),
        f"{head}.{body}.{other}{signature[1:]}",
        f"{head}.{body}.",
        f"{head}.{body}",
        "",
        "ä",
    ]
    assert [status(client, token) for token in forged] == [401] * len(forged)


def token_and_key(client: TestClient, outbox: Outbox) -> tuple[str, str]:
    settings: Settings = client.app.state.settings  # type: ignore[attr-defined]
    token: str = register(client, outbox).json()["access_token"]
    return token, settings.signing_key.get_secret_value()


def status(client: TestClient, token: str) -> int:
    headers = {b"Authorization": f"Bearer {token}".encode()}
    return client.get("/users/me", headers=headers).status_code
