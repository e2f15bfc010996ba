"""Administrators find, activate and deactivate users."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import update

from {{ cookiecutter.package_name }}.accounts.models import User
from {{ cookiecutter.package_name }}.app import create_app
from {{ cookiecutter.package_name }}.database.types import utc_now
from {{ cookiecutter.package_name }}.settings import Settings

from .accounts import ADA, Outbox, authorize, register, sign_in
from .schema import open_session

KEY = "W3q-0vTz9kX_rN5bHf7sLc2yUe8mJd4pGa6"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"admin_key": SecretStr(KEY)})


@pytest.fixture
def admin(client: TestClient) -> Iterator[TestClient]:
    client.headers["X-Admin-Key"] = KEY
    yield client


def add_users(client: TestClient, *emails: str) -> None:
    with open_session(client.app.state.engine) as session:  # type: ignore[attr-defined]
        session.add_all(
            User(email=email, name=email.partition("@")[0].title(), password_hash="!")
            for email in emails
        )
        session.commit()


def test_admin_routes_need_the_exact_admin_key(client: TestClient) -> None:
    for key in (None, "", "wrong", KEY[:-1], KEY + "x", KEY.lower(), "ä"):
        headers = {} if key is None else {b"X-Admin-Key": key.encode()}
        assert client.get("/users", headers=headers).status_code == 403
    assert client.get("/users", headers={"X-Admin-Key": KEY}).status_code == 200


def test_without_an_admin_key_setting_admin_routes_are_refused(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"admin_key": None}))
    with TestClient(app, headers={"X-Admin-Key": ""}) as client:
        answer = client.get("/users")
    assert answer.status_code == 403
    assert "ADMIN_KEY" in answer.json()["solution"]


def test_pages_list_every_user_once_even_with_equal_creation_times(admin: TestClient) -> None:
    emails = [f"user{number}@example.com" for number in range(7)]
    add_users(admin, *emails)
    with open_session(admin.app.state.engine) as session:  # type: ignore[attr-defined]
        session.execute(update(User).values(created_at=utc_now()))
        session.commit()
    found, after = [], None
    while True:
        query = {"limit": 3} | ({"after": after} if after else {})
        page = admin.get("/users", params=query).json()
        found += [user["email"] for user in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert sorted(found) == sorted(emails)
    whole = admin.get("/users", params={"limit": 7}).json()
    assert (len(whole["items"]), whole["next"]) == (7, None)


def test_search_treats_like_wildcards_as_plain_characters(admin: TestClient) -> None:
    add_users(admin, "ada@example.com", "grace_hopper@example.com", "100%@example.com")

    def search(**query: str) -> list[str]:
        return [user["email"] for user in admin.get("/users", params=query).json()["items"]]

    assert search(search="GRACE") == ["grace_hopper@example.com"]
    assert search(search="_") == ["grace_hopper@example.com"]
    assert search(search="%") == ["100%@example.com"]
    assert search(search="nobody") == []
    assert len(search(active="true")) == 3
    assert search(active="false") == []


def test_a_deactivated_user_cannot_sign_in_until_activated_again(
    admin: TestClient, outbox: Outbox
) -> None:
    headers = authorize(register(admin, outbox))
    user_id = admin.get("/users/me", headers=headers).json()["id"]
    assert admin.post(f"/users/{user_id}/deactivate").json()["is_active"] is False
    assert admin.get("/users/me", headers=headers).status_code == 401
    assert sign_in(admin).status_code == 401
    assert admin.post(f"/users/{user_id}/activate").json()["email"] == ADA["email"]
    assert sign_in(admin).status_code == 200


def test_administrators_do_not_see_password_hashes(admin: TestClient) -> None:
    add_users(admin, "ada@example.com")
    (user,) = admin.get("/users").json()["items"]
    for seen in (user, admin.post(f"/users/{user['id']}/activate").json()):
        assert set(seen) == {
            *("id", "email", "name", "email_verified", "is_active"),
            *("last_login_at", "created_at", "updated_at"),
        }


def test_an_unknown_user_is_not_found(admin: TestClient) -> None:
    answer = admin.post("/users/00000000-0000-0000-0000-000000000000/activate")
    assert (answer.status_code, answer.json()["problem"]) == (404, "There is no such user.")
