"""Access tokens are revoked for good: by logout, closing, deactivating and a new password."""

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import select

from {{ cookiecutter.package_name }}.accounts.models import Token
from {{ cookiecutter.package_name }}.settings import Settings

from .accounts import ADA, PASSWORD, Outbox, authorize, register, sign_in, token_in
from .schema import open_session

KEY = {"X-Admin-Key": "W3q-0vTz9kX_rN5bHf7sLc2yUe8mJd4pGa6"}

Ending = Callable[[TestClient, dict[str, str], str], object]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"admin_key": SecretStr(KEY["X-Admin-Key"])})


def status(client: TestClient, headers: dict[str, str]) -> int:
    return client.get("/users/me", headers=headers).status_code


def tokens(client: TestClient) -> int:
    with open_session(client.app.state.engine) as session:  # type: ignore[attr-defined]
        return len(list(session.scalars(select(Token))))


def test_logging_out_revokes_only_its_own_token(client: TestClient, outbox: Outbox) -> None:
    one, other = authorize(register(client, outbox)), authorize(sign_in(client))
    assert client.post("/auth/logout", headers=one).status_code == 204
    assert (status(client, one), status(client, other)) == (401, 200)
    assert client.post("/auth/logout", headers=one).status_code in (204, 401)
    assert client.post("/auth/logout").status_code == 401
    assert status(client, other) == 200


@pytest.mark.parametrize(
    "end",
    [
        lambda client, headers, user: client.delete("/users/me", headers=headers),
        lambda client, headers, user: client.post(f"/users/{user}/deactivate", headers=KEY),
    ],
)
def test_activating_an_account_again_does_not_restore_its_tokens(
    client: TestClient, outbox: Outbox, end: Ending
) -> None:
    headers = authorize(register(client, outbox))
    client.post("/auth/request-password-reset", json={"email": ADA["email"]})
    reset = {"token": token_in(outbox.mails[-1]), "password": "staple battery horse"}
    user = client.get("/users/me", headers=headers).json()["id"]

    end(client, headers, user)
    assert tokens(client) == 0
    assert client.post(f"/users/{user}/activate", headers=KEY).status_code == 200
    assert status(client, headers) == 401
    assert client.post("/auth/reset-password", json=reset).status_code == 400
    headers = authorize(sign_in(client))
    assert client.post(f"/users/{user}/activate", headers=KEY).status_code == 200
    assert status(client, headers) == 200


def test_changing_the_password_revokes_all_older_tokens(client: TestClient, outbox: Outbox) -> None:
    old = authorize(register(client, outbox))
    change = {"current_password": PASSWORD, "password": "staple battery horse"}
    new = authorize(client.post("/auth/change-password", json=change, headers=old))
    assert (status(client, old), status(client, new)) == (401, 200)
    assert tokens(client) == 1


def test_resetting_the_password_revokes_all_tokens(client: TestClient, outbox: Outbox) -> None:
    old = authorize(register(client, outbox))
    client.post("/auth/request-password-reset", json={"email": ADA["email"]})
    reset = {"token": token_in(outbox.mails[-1]), "password": "staple battery horse"}
    assert client.post("/auth/reset-password", json=reset).status_code == 200
    assert (status(client, old), tokens(client)) == (401, 0)
