"""Accounts: register, confirm, sign in, change, reset, close."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from {{ cookiecutter.package_name }}.accounts import auth_routes
from {{ cookiecutter.package_name }}.accounts.models import User
from {{ cookiecutter.package_name }}.accounts.passwords import Passwords
from {{ cookiecutter.package_name }}.accounts.service import Accounts
from {{ cookiecutter.package_name }}.app import create_app
from {{ cookiecutter.package_name }}.database.types import utc_now
from {{ cookiecutter.package_name }}.mail import Mail
from {{ cookiecutter.package_name }}.settings import Settings
from {{ cookiecutter.package_name }}.web.errors import rate_limited

from .accounts import (
    ADA,
    PASSWORD,
    Outbox,
    authorize,
    confirm,
    register,
    sign_in,
    token_in,
    with_connections,
)
from .client import Client
from .schema import open_session


def users(client: TestClient) -> list[User]:
    with open_session(client.app.state.engine) as session:  # type: ignore[attr-defined]
        return list(session.scalars(select(User)))


def change(client: TestClient, **values: Any) -> None:
    with open_session(client.app.state.engine) as session:  # type: ignore[attr-defined]
        session.execute(update(User).values(**values))
        session.commit()


def test_a_user_registers_confirms_signs_in_and_reads_the_profile(
    client: TestClient, outbox: Outbox
) -> None:
    answer = client.post("/auth/register", json=ADA)
    assert answer.status_code == 201
    assert sign_in(client).status_code == 401

    assert confirm(client, outbox.mails[-1]).status_code == 200
    answer = sign_in(client)
    assert (answer.json()["token_type"], answer.json()["expires_in"]) == ("bearer", 3600)

    profile = client.get("/users/me", headers=authorize(answer)).json()
    assert (profile["email"], profile["name"]) == (ADA["email"], ADA["name"])
    assert profile["email_verified"] is True
    assert profile["last_login_at"].endswith(("Z", "+00:00"))


def test_passwords_and_tokens_are_stored_only_as_hashes(client: TestClient, outbox: Outbox) -> None:
    client.post("/auth/register", json=ADA)
    (user,) = users(client)
    assert user.password_hash.startswith("$2b$04$")
    assert token_in(outbox.mails[-1]) not in vars(user).values()


def test_different_spellings_of_an_address_are_one_account(
    client: TestClient, outbox: Outbox
) -> None:
    first = client.post("/auth/register", json=ADA)
    for spelling in ("ADA@Example.COM", "  ada@example.com ", "ａｄａ@example.com"):
        again = client.post("/auth/register", json={**ADA, "email": spelling, "name": "Eve"})
        assert (first.status_code, first.json()) == (again.status_code, again.json())
        assert outbox.mails[-1].to == ADA["email"]
        assert outbox.mails[-1].subject.startswith("You have an account")
    (user,) = users(client)
    assert (user.email, user.name) == (ADA["email"], ADA["name"])


def test_an_address_may_be_as_long_as_the_column(client: TestClient) -> None:
    longest = f"{'a' * 64}@{'b' * 61}.{'c' * 61}.{'d' * 61}.com"
    assert len(longest) == 254
    for email, status in ((longest, 201), (longest.replace("b.", "bb."), 422)):
        assert client.post("/auth/register", json={**ADA, "email": email}).status_code == status


def test_parallel_registrations_of_one_address_create_one_user(
    settings: Settings, tmp_path: Path
) -> None:
    app = create_app(with_connections(settings, tmp_path))
    with Client(app) as client, ThreadPoolExecutor(8) as pool:
        app.state.mailer = outbox = Outbox()
        answers = list(
            pool.map(lambda _: client.post("/auth/register", json=ADA).status_code, range(16))
        )
        assert answers == [201] * 16
        assert len(users(client)) == 1
        assert len([mail for mail in outbox.mails if mail.subject.startswith("Confirm")]) == 1


def test_a_confirmation_works_once(client: TestClient, outbox: Outbox) -> None:
    client.post("/auth/register", json=ADA)
    assert confirm(client, outbox.mails[-1]).status_code == 200
    assert confirm(client, outbox.mails[-1]).status_code == 400


def test_a_confirmation_expires_and_a_new_one_can_be_asked_for(
    client: TestClient, outbox: Outbox
) -> None:
    client.post("/auth/register", json=ADA)
    change(client, verification_token_expires_at=utc_now() - timedelta(seconds=1))
    old = outbox.mails[-1]
    assert confirm(client, old).status_code == 400

    answer = client.post("/auth/request-verification", json={"email": ADA["email"]})
    assert answer.status_code == 202
    assert confirm(client, old).status_code == 400
    assert confirm(client, outbox.mails[-1]).status_code == 200


def test_a_new_link_to_confirm_goes_only_to_an_open_account_that_is_not_confirmed(
    client: TestClient, outbox: Outbox
) -> None:
    register(client, outbox)
    client.post("/auth/register", json={**ADA, "email": "eve@example.com"})
    eve = outbox.mails[-1]
    outbox.mails.clear()
    client.post("/auth/request-verification", json={"email": ADA["email"]})
    assert (outbox.mails, confirm(client, eve).status_code) == ([], 200)
    change(client, email_verified=False, is_active=False)
    client.post("/auth/request-verification", json={"email": ADA["email"]})
    assert outbox.mails == []


def test_every_failed_sign_in_gets_the_same_answer(client: TestClient, outbox: Outbox) -> None:
    headers = authorize(register(client, outbox))
    answers = [sign_in(client, password="wrong horse"), sign_in(client, email="eve@example.com")]
    change(client, is_active=False)
    assert client.get("/users/me", headers=headers).status_code == 401
    answers.append(sign_in(client))
    change(client, is_active=True, email_verified=False)
    answers.append(sign_in(client))
    change(client, password_hash="!")
    answers.append(sign_in(client))
    answers.append(sign_in(client, password="x" * 100))
    bodies = [{**answer.json(), "request_id": None} for answer in answers]
    assert [answer.status_code for answer in answers] == [401] * 6
    assert all(body == bodies[0] for body in bodies)


def test_requesting_a_link_does_not_reveal_who_has_an_account(
    client: TestClient, outbox: Outbox
) -> None:
    register(client, outbox)
    outbox.mails.clear()
    for path in ("request-verification", "request-password-reset"):
        answer = client.post(f"/auth/{path}", json={"email": "eve@example.com"})
        assert answer.status_code == 202
    assert outbox.mails == []


def test_the_password_form_of_oauth2_signs_in_too(client: TestClient, outbox: Outbox) -> None:
    register(client, outbox)
    form = {"username": ADA["email"].upper(), "password": PASSWORD}
    assert client.post("/auth/token", data=form).status_code == 200
    assert client.post("/auth/token", data={**form, "username": "nobody"}).status_code == 401


def test_changing_the_password_revokes_every_token(client: TestClient, outbox: Outbox) -> None:
    old = authorize(register(client, outbox))
    new_password = "staple battery horse"
    wrong = {"current_password": "wrong horse", "password": new_password}
    assert client.post("/auth/change-password", json=wrong, headers=old).status_code == 403
    right = {"current_password": PASSWORD, "password": new_password}
    answer = client.post("/auth/change-password", json=right, headers=old)
    assert client.get("/users/me", headers=old).status_code == 401
    assert client.get("/users/me", headers=authorize(answer)).status_code == 200
    assert sign_in(client).status_code == 401
    assert sign_in(client, password=new_password).status_code == 200


def test_a_reset_link_works_once_and_revokes_every_token(
    client: TestClient, outbox: Outbox
) -> None:
    before = authorize(register(client, outbox))
    client.post("/auth/request-password-reset", json={"email": ADA["email"]})
    token = token_in(outbox.mails[-1])
    reset = {"token": token, "password": "staple battery horse"}
    guessable = client.post("/auth/reset-password", json={**reset, "password": "password1"})
    assert guessable.json()["code"] == "password-guessable"
    assert client.post("/auth/reset-password", json=reset).status_code == 200
    again = client.post("/auth/reset-password", json=reset)
    assert (again.status_code, again.json()["code"]) == (400, "link-not-valid")
    assert again.json()["solution"].endswith("POST /auth/request-password-reset")
    assert client.get("/users/me", headers=before).status_code == 401
    assert sign_in(client, password="staple battery horse").status_code == 200
    # A token is valid only for its purpose.
    stolen = {"Authorization": f"Bearer {token}"}
    assert client.get("/users/me", headers=stolen).status_code == 401


@pytest.mark.parametrize("meanwhile", [{"is_active": False}, {"password_hash": "another"}])
@pytest.mark.parametrize("path", ["change-password", "reset-password", "login"])
def test_an_account_that_is_closed_or_changed_during_the_request_gets_no_token(
    client: TestClient,
    outbox: Outbox,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    meanwhile: dict[str, Any],
) -> None:
    headers = authorize(register(client, outbox))
    client.post("/auth/request-password-reset", json={"email": ADA["email"]})
    verify, new = Passwords.verify, "staple battery horse"
    sent = {
        "change-password": {"current_password": PASSWORD, "password": new},
        "reset-password": {"token": token_in(outbox.mails[-1]), "password": new},
        "login": {"email": ADA["email"], "password": PASSWORD},
    }[path]

    def change_and_verify(self: Passwords, *arguments: Any) -> bool:
        change(client, **meanwhile)
        return verify(self, *arguments)

    monkeypatch.setattr(Passwords, "verify", change_and_verify)
    monkeypatch.setattr(Passwords, "check", lambda *_: change(client, **meanwhile))
    before = {"password_hash": users(client)[0].password_hash, **meanwhile}["password_hash"]
    answer = client.post(f"/auth/{path}", json=sent, headers=headers)
    assert answer.status_code == {"reset-password": 400}.get(path, 401)
    assert users(client)[0].password_hash == before
    assert client.post("/auth/change-password", json=sent, headers=headers).status_code >= 400


def test_a_link_that_is_used_during_the_request_does_not_confirm(
    client: TestClient, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post("/auth/register", json=ADA)
    verify = Passwords.verify

    def use_and_verify(self: Passwords, *arguments: Any) -> bool:
        change(client, verification_token=None)
        return verify(self, *arguments)

    monkeypatch.setattr(Passwords, "verify", use_and_verify)
    assert confirm(client, outbox.mails[-1]).status_code == 400
    assert [user.email_verified for user in users(client)] == [False]


def test_registering_again_sends_a_link_that_sets_the_password_and_confirms(
    client: TestClient, outbox: Outbox
) -> None:
    client.post("/auth/register", json=ADA)
    client.post("/auth/register", json={**ADA, "password": "the owner's own words"})
    reset = {"token": token_in(outbox.mails[-1]), "password": "the owner's own words"}
    assert client.post("/auth/reset-password", json=reset).status_code == 200
    assert sign_in(client).status_code == 401
    assert sign_in(client, password="the owner's own words").status_code == 200


def test_the_password_of_a_stranger_never_works_for_the_owners_address(
    client: TestClient, outbox: Outbox
) -> None:
    client.post("/auth/register", json={**ADA, "password": "the stranger's own words"})
    sent = {"token": token_in(outbox.mails[-1])}
    assert client.post("/auth/verify-email", json=sent).status_code == 200
    assert client.post("/auth/verify-email", json=sent).status_code == 400
    assert sign_in(client, password="the stranger's own words").status_code == 401
    assert sign_in(client, password="!").status_code == 401

    assert (len(outbox.mails), outbox.mails[-1].to) == (2, ADA["email"])
    chosen = {"token": token_in(outbox.mails[-1]), "password": PASSWORD}
    assert client.post("/auth/reset-password", json=chosen).status_code == 200
    assert client.post("/auth/reset-password", json=chosen).status_code == 400
    assert sign_in(client).status_code == 200
    assert sign_in(client, password="the stranger's own words").status_code == 401


def test_confirming_with_the_registered_password_keeps_it(
    client: TestClient, outbox: Outbox
) -> None:
    client.post("/auth/register", json=ADA)
    assert confirm(client, outbox.mails[-1], "the stranger's own words").status_code == 400
    assert confirm(client, outbox.mails[-1]).status_code == 200
    assert len(outbox.mails) == 1
    assert sign_in(client).status_code == 200


def test_a_closed_account_gets_a_notice_and_no_links(client: TestClient, outbox: Outbox) -> None:
    client.delete("/users/me", headers=authorize(register(client, outbox)))
    outbox.mails.clear()
    for path in ("request-verification", "request-password-reset"):
        client.post(f"/auth/{path}", json={"email": ADA["email"]})
    assert outbox.mails == []
    client.post("/auth/register", json=ADA)
    (mail,) = outbox.mails
    assert mail.to == ADA["email"] and "is closed" in mail.subject and "#" not in mail.link
    assert client.get(mail.link).status_code == 200


def test_closing_an_account_revokes_its_tokens_and_keeps_the_row(
    client: TestClient, outbox: Outbox
) -> None:
    headers = authorize(register(client, outbox))
    assert client.delete("/users/me", headers=headers).status_code == 204
    assert client.get("/users/me", headers=headers).status_code == 401
    assert sign_in(client).status_code == 401
    assert [user.is_active for user in users(client)] == [False]


def test_a_name_can_be_changed(client: TestClient, outbox: Outbox) -> None:
    headers = authorize(register(client, outbox))
    answer = client.patch("/users/me", json={"name": " Countess of Lovelace "}, headers=headers)
    assert answer.json()["name"] == "Countess of Lovelace"
    assert client.patch("/users/me", json={}, headers=headers).json() == answer.json()
    assert client.patch("/users/me", json={"name": "\0"}, headers=headers).status_code == 422


def test_the_hash_is_renewed_at_sign_in_when_the_cost_rises(
    client: TestClient, outbox: Outbox
) -> None:
    register(client, outbox)
    costlier = client.app.state.settings.model_copy(  # type: ignore[attr-defined]
        update={"bcrypt_cost": 5}
    )
    client.app.state.settings = costlier  # type: ignore[attr-defined]
    answer = sign_in(client)
    assert users(client)[0].password_hash.startswith("$2b$05$")
    assert client.get("/users/me", headers=authorize(answer)).status_code == 200
    assert sign_in(client).status_code == 200


def test_a_registration_is_kept_when_its_mail_fails(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, outbox: Outbox
) -> None:
    def fail(_mail: Mail) -> None:
        raise ConnectionRefusedError("nobody listens")

    monkeypatch.setattr(outbox, "send", fail)
    assert client.post("/auth/register", json=ADA).status_code == 201
    monkeypatch.undo()
    client.post("/auth/request-verification", json={"email": ADA["email"]})
    assert confirm(client, outbox.mails[-1]).status_code == 200


def test_an_error_while_preparing_a_mail_is_logged(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    away = OperationalError("SELECT 1", {}, Exception("nobody listens"))
    monkeypatch.setattr(auth_routes, "is_away", lambda error: error is away)
    for error, line in ((rate_limited(1), "rate-limited"), (away, "does not answer")):
        monkeypatch.setattr(Accounts, "send_password_reset", Mock(side_effect=error))
        answer = client.post("/auth/request-password-reset", json={"email": ADA["email"]})
        assert answer.status_code == 202
        assert line in capsys.readouterr().err


def test_responses_are_not_cached_and_contain_no_password_hash(
    client: TestClient, outbox: Outbox
) -> None:
    answer = client.get("/users/me", headers=authorize(register(client, outbox)))
    assert answer.headers["Cache-Control"] == "no-store"
    assert set(answer.json()) == {
        *("id", "email", "name", "email_verified"),
        *("last_login_at", "created_at", "updated_at"),
    }
    assert {mail.to for mail in outbox.mails} == {ADA["email"]}
    for path in ("register", "request-password-reset"):
        client.post(f"/auth/{path}", json=ADA)
        assert outbox.mails[-1].to == ADA["email"]
