"""Tenants over HTTP: administrators make and remove them, and each request sees its own."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from {{ cookiecutter.package_name }}.app import create_app
from {{ cookiecutter.package_name }}.database.tenant_session import tenant_session
from {{ cookiecutter.package_name }}.settings import Settings

from .client import Client

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
