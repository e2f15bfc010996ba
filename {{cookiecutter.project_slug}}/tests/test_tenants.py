"""Tenants over HTTP: administrators make and remove them, and each request sees its own."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from psycopg import Connection
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from {{ cookiecutter.package_name }}.app import create_app
from {{ cookiecutter.package_name }}.database.session import begin_look_up
from {{ cookiecutter.package_name }}.database.tenant_session import tenant_session
from {{ cookiecutter.package_name }}.migrate.tenants import (
    drop_tenant,
    make_tenant_roles,
    run_tenant_migrations,
    tenants_without_role,
)
from {{ cookiecutter.package_name }}.settings import Settings

from .accounts import ADA, Outbox, authorize, register, sign_in
from .client import Client, Command

KEY = {"X-Admin-Key": "an administrator's own long key, 0123456789"}


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    """The running service, with administrators."""
    key = SecretStr(KEY["X-Admin-Key"])
    app = create_app(settings.model_copy(update={"admin_key": key, "tenant_from_host": True}))
    with Client(app) as client:
        yield client


def names(session: Session) -> list[str]:
    """Names of a tenant's users."""
    return list(session.scalars(text("SELECT name FROM users")))


def test_an_administrator_makes_lists_and_removes_tenants(client: TestClient) -> None:
    made = client.post("/tenants", json={"id": "globex", "name": "Globex"}, headers=KEY)
    assert (made.status_code, made.json()["status"]) == (201, "ready")
    assert client.post("/tenants", json={"id": "globex"}, headers=KEY).status_code == 200
    page = client.get("/tenants", params={"limit": 1}, headers=KEY).json()
    assert ([item["id"] for item in page["items"]], page["next"]) == (["acme"], "acme")
    page = client.get("/tenants", params={"after": "acme"}, headers=KEY).json()
    assert ([item["name"] for item in page["items"]], page["next"]) == (["Globex"], None)
    assert client.delete("/tenants/globex", headers=KEY).status_code == 204
    assert client.get("/tenants/globex", headers=KEY).status_code == 404
    assert client.delete("/tenants/globex", headers=KEY).status_code == 404


def test_a_connection_is_cleaned_after_all_but_a_look_up(
    client: Client, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = authorize(register(client, outbox))
    executed: list[Any] = []
    execute = Connection.execute

    def note(connection: Any, query: Any, *args: Any, **how: Any) -> Any:
        executed.append(query)
        return execute(connection, query, *args, **how)

    monkeypatch.setattr(Connection, "execute", note)
    assert client.get("/users/me", headers=headers).status_code == 200
    assert "DISCARD ALL" not in executed
    with tenant_session(client.state.engine, "acme") as session:
        session.execute(text("CREATE TEMPORARY TABLE secrets (secret text)"))
        begin_look_up(session, {})
        session.commit()
    assert executed.count("DISCARD ALL") == 1


def test_nobody_else_does(client: TestClient) -> None:
    for key in ({}, {"X-Admin-Key": "a guess"}):
        assert client.post("/tenants", json={"id": "globex"}, headers=key).status_code == 403
        assert client.get("/tenants", headers=key).status_code == 403
        assert client.delete("/tenants/acme", headers=key).status_code == 403


@pytest.mark.parametrize("tenant", ["", "A", "a-b", "a\n", "public", "a" * 57, "x; DROP TABLE y"])
def test_an_id_that_cannot_be_one_is_refused(client: TestClient, tenant: str) -> None:
    answer = client.post("/tenants", json={"id": tenant}, headers=KEY)
    assert answer.status_code == 422
    assert "cannot be the id of a tenant" in answer.text


def test_a_request_names_its_tenant(client: Client) -> None:
    client.state.settings = client.state.settings.model_copy(update={"tenant_from_host": False})
    login = {"email": "a@example.com", "password": "a long enough password"}
    for header, status in (("acme", 401), ("nobody", 404), ("No One", 400), ("", 400)):
        answer = client.post("/auth/login", json=login, headers={"X-Tenant-ID": header})
        assert answer.status_code == status, header


def test_a_request_that_names_two_tenants_is_refused(client: TestClient) -> None:
    client.post("/tenants", json={"id": "globex"}, headers=KEY)
    del client.headers["X-Tenant-ID"]
    login = {"email": "a@example.com", "password": "a long enough password"}
    for tenants in (("acme", "globex"), ("acme", "acme"), ("acme", "")):
        headers = [("X-Tenant-ID", tenant) for tenant in tenants]
        answer = client.post("/auth/login", json=login, headers=headers)
        assert (answer.status_code, "twice" in answer.text) == (400, True)


def test_attempts_at_an_account_lock_nobody_out_of_another_tenants(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"rate_limit_per_account": "2/hour"}))
    with Client(app) as client:
        run_tenant_migrations(client.state.engine, "globex")
        for tenant, statuses in (("acme", [401, 401, 429]), ("globex", [401, 401, 429])):
            client.headers["X-Tenant-ID"] = tenant
            assert [sign_in(client).status_code for _ in range(3)] == statuses


def test_a_mailed_link_names_its_tenant(client: TestClient, outbox: Outbox) -> None:
    client.post("/tenants", json={"id": "globex"}, headers=KEY)
    for tenant in ("acme", "globex"):
        client.headers["X-Tenant-ID"] = tenant
        register(client, outbox)
        client.post("/auth/register", json=ADA)
        client.post("/auth/request-password-reset", json={"email": ADA["email"]})
        links = [urlsplit(mail.link) for mail in outbox.mails[-3:]]
        assert [parse_qs(link.fragment)["tenant"] for link in links] == [[tenant]] * 3
        assert [link.path for link in links] == [
            "/verify-email",
            "/reset-password",
            "/reset-password",
        ]


def test_tenants_without_the_roles_that_they_should_have_answer_503(settings: Settings) -> None:
    # Roles belong to the whole server: another run of these tests there has tenants called acme.
    tenant = f"t{uuid4().hex}"
    with Client(create_app(settings)) as client:
        run_tenant_migrations(client.state.engine, tenant)
        drop_tenant(client.state.engine, "acme")
    app = create_app(settings.model_copy(update={"tenant_roles": True}))
    with TestClient(app, headers={"X-Tenant-ID": tenant}) as client_of_tenant:
        answer = sign_in(client_of_tenant)
        assert (answer.status_code, "no database role" in answer.text) == (503, True)
        engine = app.state.engine
        assert (make_tenant_roles(engine), tenants_without_role(engine)) == ([tenant], [])
        assert sign_in(client_of_tenant).status_code == 401
        drop_tenant(engine, tenant)


def test_the_host_name_can_name_it(client: TestClient) -> None:
    del client.headers["X-Tenant-ID"]
    login = {"email": "a@example.com", "password": "a long enough password"}
    for host, status in (("acme", 401), ("nobody", 404), ("www", 400)):
        headers = {"Host": f"{host}.example.com"}
        assert client.post("/auth/login", json=login, headers=headers).status_code == status


def test_a_tenant_that_is_not_ready_answers_503_and_the_service_serves_the_others(
    client: Client,
) -> None:
    client.post("/tenants", json={"id": "globex"}, headers=KEY)
    with client.state.engine.begin() as connection:
        connection.execute(text("UPDATE public.tenants SET status = 'failed' WHERE id = 'globex'"))
    login = {"email": "a@example.com", "password": "a long enough password"}
    answer = client.post("/auth/login", json=login, headers={"X-Tenant-ID": "globex"})
    assert (answer.status_code, "failed" in answer.text) == (503, True)
    assert client.post("/auth/login", json=login).status_code == 401
    ready = client.get("/health/ready")
    assert (ready.status_code, ready.json()["reason"]) == (200, "1 tenants are behind")


def test_a_session_sees_its_own_tenant_only_whatever_happens_in_it(client: Client) -> None:
    client.post("/tenants", json={"id": "globex"}, headers=KEY)
    insert = text("INSERT INTO users (email, password_hash, name) VALUES (:n, '', :n)")
    for tenant in ("acme", "globex"):
        with tenant_session(client.state.engine, tenant) as session:
            session.execute(insert, {"n": tenant})
            session.commit()
            assert names(session) == [tenant]
            with pytest.raises(SQLAlchemyError), session.begin_nested():
                session.execute(text("SELECT nothing FROM nowhere"))
            assert names(session) == [tenant]
            session.rollback()
            assert names(session) == [tenant]


def test_a_day_with_tenants_on_the_command_line(command: Command) -> None:
    assert command("migrate latest")[0] == 0
    assert command("tenant create globex --name Globex") == (0, "Created tenant globex")
    assert command("tenant create globex") == (0, "Tenant globex already exists")
    assert "Globex" in command("tenant list")[1]
    assert '"globex"' in command("tenant list --json")[1]
    for line in ("migrate", "migrate globex", "verify", "verify globex", "audit"):
        assert command(f"tenant {line}")[0] == 0
        assert command(f"tenant {line} --json")[0] == 0
    assert command("tenant migrate nobody")[0] == 1
    assert command("tenant drop globex")[0] == 1
    assert command("tenant drop globex --yes") == (0, "Dropped tenant globex")
    assert "globex" not in command("tenant list")[1]


def test_one_tenant_is_saved_and_restored(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BACKUP_DIRECTORY", str(tmp_path / "backups"))
    command("migrate latest")
    command("tenant create globex")
    assert command("backup create --tenant globex")[0] == 0
    (name,) = (one["name"] for one in json.loads(command("backup list --json")[1]))
    assert command(f"backup restore {name} --tenant globex")[0] == 1
    assert command(f"backup restore {name} --tenant globex --yes")[0] == 0
    assert command("tenant verify globex")[0] == 0
