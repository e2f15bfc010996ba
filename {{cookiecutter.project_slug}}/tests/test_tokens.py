"""Only this service's own tokens count, for as long as they should and for what they are for."""

from typing import Any
from uuid import uuid4

import jwt
import pytest
from fastapi.testclient import TestClient

from {{ cookiecutter.package_name }}.accounts.models import User
from {{ cookiecutter.package_name }}.accounts.tokens import Tokens
from {{ cookiecutter.package_name }}.settings import Settings

from .accounts import Outbox, register

SETTINGS = Settings(_env_file=None)


def someone() -> User:
    return User(id=uuid4(), email="ada@example.com", password_hash="!")


def test_a_token_is_read_as_it_was_issued() -> None:
    tokens, user = Tokens(SETTINGS, {}), someone()
    assert tokens.read(tokens.issue(user, "access"), "access")[0] == user.id
    with pytest.raises(jwt.InvalidAudienceError):
        tokens.read(tokens.issue(user, "password-reset"), "access")


def test_a_token_bound_to_one_place_is_refused_in_another() -> None:
    token = Tokens(SETTINGS, {"tenant": "acme"}).issue(someone(), "access")
    Tokens(SETTINGS, {"tenant": "acme"}).read(token, "access")
    with pytest.raises(jwt.InvalidTokenError):
        Tokens(SETTINGS, {"tenant": "globex"}).read(token, "access")
    unbound = Tokens(SETTINGS, {}).issue(someone(), "access")
    with pytest.raises(jwt.MissingRequiredClaimError):
        Tokens(SETTINGS, {"tenant": "globex"}).read(unbound, "access")


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
