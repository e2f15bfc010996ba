"""Tenants over HTTP: administrators create and remove them, and each request sees its own."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import bcrypt
import pytest
from fastapi.testclient import TestClient
from psycopg import Connection
from psycopg.sql import SQL
from pydantic import SecretStr
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from {{ cookiecutter.package_name }}.app import create_app
from {{ cookiecutter.package_name }}.database.session import begin_look_up
from {{ cookiecutter.package_name }}.database.tenant_session import TenantSession, tenant_session
from {{ cookiecutter.package_name }}.errors import ActionableError
from {{ cookiecutter.package_name }}.migrate.tenants import (
    drop_tenant,
    list_tenants,
    make_tenant_roles,
    run_tenant_migrations,
    tenants_without_role,
)
from {{ cookiecutter.package_name }}.settings import Settings

from .accounts import ADA, Outbox, authorize, register, sign_in
from .client import Client, Command
from .migration_files import add, execute

KEY = {"X-Admin-Key": "an administrator's own long key, 0123456789"}
ACME = {"tenant": "acme", "role": False}


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


def test_an_administrator_creates_lists_and_removes_tenants(client: TestClient) -> None:
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


def test_a_connection_is_reset_after_a_session_unless_it_only_looked_up_a_user(
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


def test_tenant_routes_need_the_admin_key(client: TestClient) -> None:
    for key in ({}, {"X-Admin-Key": "a wrong key"}):
        assert client.post("/tenants", json={"id": "globex"}, headers=key).status_code == 403
        assert client.get("/tenants", headers=key).status_code == 403
        assert client.delete("/tenants/acme", headers=key).status_code == 403


@pytest.mark.parametrize("tenant", ["", "A", "a-b", "a\n", "public", "a" * 57, "x; DROP TABLE y"])
def test_an_invalid_tenant_id_is_refused(client: TestClient, tenant: str) -> None:
    answer = client.post("/tenants", json={"id": tenant}, headers=KEY)
    assert answer.status_code == 422
    assert "cannot be the id of a tenant" in answer.text


def test_control_characters_are_refused_before_the_database_sees_them(client: TestClient) -> None:
    for path in ("/tenants?after=%00", "/operations/tenants?after=a%00", "/tenants/%00"):
        assert client.get(path, headers=KEY).status_code == 422
    new = {"id": "initech", "name": "Initech\0"}
    assert client.post("/tenants", json=new, headers=KEY).status_code == 422


def test_tenants_are_503_and_not_unknown_while_the_database_is_away(client: Client) -> None:
    client.state.engine = create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")
    for method, path in (
        ("GET", "/tenants"),
        ("GET", "/tenants/acme"),
        ("POST", "/tenants"),
        ("DELETE", "/tenants/acme"),
        ("GET", "/operations/tenants"),
    ):
        answer = client.request(method, path, json={"id": "acme"}, headers=KEY)
        assert (answer.status_code, answer.json()["code"]) == (503, "database-away"), path
        assert answer.headers["Retry-After"] == "5"


def test_no_value_of_a_statement_of_the_engine_is_in_its_error(client: Client) -> None:
    with pytest.raises(ActionableError) as failure:
        list_tenants(client.state.engine, after="hunter2\0")
    assert "hunter2" not in f"{failure.value} {failure.value.__cause__}"


def test_the_tenant_header_selects_the_tenant_and_is_validated(client: Client) -> None:
    client.state.settings = client.state.settings.model_copy(update={"tenant_from_host": False})
    login = {"email": "a@example.com", "password": "a long enough password"}
    for header, status in (("acme", 401), ("nobody", 404), ("No One", 400), ("", 400)):
        answer = client.post("/auth/login", json=login, headers={"X-Tenant-ID": header})
        assert answer.status_code == status, header


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("register", ADA),
        ("verify-email", {"token": "x", "password": "x"}),
        ("verify-email", {"token": "x"}),
        ("request-verification", {"email": ADA["email"]}),
        ("login", {"email": ADA["email"], "password": "x"}),
        ("request-password-reset", {"email": ADA["email"]}),
        ("reset-password", {"token": "x", "password": "x"}),
        ("change-password", {"current_password": "x", "password": "x"}),
        ("logout", {}),
    ],
)
def test_probing_for_tenants_costs_as_much_as_a_sign_in(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, path: str, sent: dict[str, str]
) -> None:
    hashing = {name: Mock(wraps=getattr(bcrypt, name)) for name in ("hashpw", "checkpw")}
    for name, counted in hashing.items():
        monkeypatch.setattr(bcrypt, name, counted)
    answers, work = set(), []
    for tenant in ("acme", "nobody"):
        answer = client.post(f"/auth/{path}", json=sent, headers={"X-Tenant-ID": tenant})
        answers.add(answer.status_code)
        work.append(sum(counted.call_count for counted in hashing.values()))
    assert len(answers) == 1 or work == [1, 2]


def test_a_request_that_names_two_tenants_is_refused(client: TestClient) -> None:
    client.post("/tenants", json={"id": "globex"}, headers=KEY)
    del client.headers["X-Tenant-ID"]
    login = {"email": "a@example.com", "password": "a long enough password"}
    for tenants in (("acme", "globex"), ("acme", "acme"), ("acme", "")):
        headers = [("X-Tenant-ID", tenant) for tenant in tenants]
        answer = client.post("/auth/login", json=login, headers=headers)
        assert (answer.status_code, "twice" in answer.text) == (400, True)


def test_rate_limits_of_accounts_are_separate_for_each_tenant(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"rate_limit_per_account": "2/hour"}))
    with Client(app) as client:
        run_tenant_migrations(client.state.engine, "globex")
        for tenant, statuses in (("acme", [401, 401, 429]), ("globex", [401, 401, 429])):
            client.headers["X-Tenant-ID"] = tenant
            assert [sign_in(client).status_code for _ in range(3)] == statuses


def test_a_mailed_link_contains_its_tenant(client: TestClient, outbox: Outbox) -> None:
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


def test_a_tenant_without_its_required_role_answers_503(settings: Settings) -> None:
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


def test_the_host_name_can_select_the_tenant(client: TestClient) -> None:
    del client.headers["X-Tenant-ID"]
    login = {"email": "a@example.com", "password": "a long enough password"}
    for host, status in (("acme", 401), ("nobody", 404), ("www", 400)):
        headers = {"Host": f"{host}.example.com"}
        assert client.post("/auth/login", json=login, headers=headers).status_code == status


def test_a_failed_tenant_answers_503_and_other_tenants_are_served(
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
    assert (ready.status_code, ready.json()["reason"]) == (200, "1 tenant is behind")


def test_a_session_sees_only_its_own_tenant_after_commit_error_and_rollback(client: Client) -> None:
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


def test_tenant_commands_create_list_migrate_verify_and_drop(command: Command) -> None:
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


def test_tenants_that_differ_or_failed_are_named_and_can_be_repaired(
    command: Command, versions: Path
) -> None:
    for line in ("migrate latest", "tenant create acme", "tenant create globex"):
        assert command(line)[0] == 0
    execute("ALTER TABLE tenant_globex.users ADD strange integer")
    code, output = command("tenant verify")
    assert (code, "Tenant globex" in output, "strange" in output) == (1, True, True)
    assert "Tenants: 1 in step, 1 differ" in output
    assert json.loads(command("tenant verify --json")[1].splitlines()[0])["success"] is False

    execute("UPDATE tenants SET status = 'failed' WHERE id = 'acme'", "CREATE SCHEMA tenant_lost")
    code, output = command("tenant audit")
    assert (code, "acme" in output or "lost" in output) == (1, True)
    assert command("tenant audit --json")[0] == 1
    assert command("tenant audit --repair")[0] == 0

    add(versions, "add_pens", 'op.execute("CREATE TABLE pens (colour text)")')
    execute("CREATE TABLE tenant_acme.pens (colour text)")
    code, output = command("tenant migrate")
    # One cannot be migrated; the other is, and it still differs from what the migrations make.
    assert (code, " migrated, 2 failed" in output, "acme: " in output) == (1, True, True)
    assert "globex: The schema differs from what the migrations make" in output
    shown = json.loads(command("tenant migrate acme --json")[1].splitlines()[0])
    assert [one["success"] for one in shown["tenants"]] == [False]


def test_existing_tenants_are_taken_over_by_a_baseline(command: Command) -> None:
    for line in ("migrate latest", "tenant create acme", "tenant create globex"):
        assert command(line)[0] == 0
    for tenant in ("acme", "globex"):
        tables = ("alembic_version", "migration_history")
        execute(*(f"DROP TABLE tenant_{tenant}.{table}" for table in tables))
    execute("ALTER TABLE tenant_globex.users ADD strange integer")
    code, output = command("tenant baseline")
    assert (code, "Tenant globex:" in output, "strange" in output) == (1, True, True)
    assert json.loads(command("tenant baseline --json")[1].splitlines()[0])["success"] is False
    code, output = command("tenant baseline globex --accept-differences it-is-known")
    assert (code, "Taken over: 1 tenant" in output) == (0, True)
    assert command("tenant verify acme")[0] == 0


def test_tenant_roles_creates_missing_roles(command: Command) -> None:
    tenant = f"t{uuid4().hex}"  # roles belong to the whole server
    for line in ("migrate latest", f"tenant create {tenant}"):
        assert command(line)[0] == 0
    assert command("tenant roles") == (0, f"{tenant} has its role")
    assert command("tenant roles") == (0, "Every tenant has its role")
    assert command(f"tenant drop {tenant} --yes")[0] == 0


def test_a_terminal_shows_progress_of_tenants(
    command: Command, versions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for line in ("migrate latest", "tenant create acme"):
        command(line)
    add(versions, "do_nothing")
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    code, output = command("tenant migrate")
    assert (code, "Tenants: 1 migrated, 0 failed" in output) == (0, True)
    assert "Revision" in command("tenant list")[1]


def test_every_statement_of_a_raw_cursor_runs_in_the_tenant(client: Client) -> None:
    client.post("/tenants", json={"id": "globex"}, headers=KEY)
    with tenant_session(client.state.engine, "globex") as session:
        raw = session.connection().connection.driver_connection
        assert raw is not None
        with raw.cursor() as cursor:
            insert = "INSERT INTO users (email, password_hash, name) VALUES (%s, '', 'x')"
            cursor.executemany(insert, [("ada@example.com",), ("grace@example.com",)])
            with cursor.copy("COPY (SELECT email FROM users ORDER BY 1) TO STDOUT") as copy:
                assert b"".join(copy) == b"ada@example.com\ngrace@example.com\n"
            assert len(list(cursor.stream(b"SELECT 1 FROM users"))) == 2
            cursor.execute(SQL("SET search_path = public"))
            assert cursor.execute("SELECT count(*) FROM users").fetchone() == (2,)
            cursor.execute("SELECT set_config('search_path', 'public', true)")
            assert cursor.execute("SELECT count(*) FROM users").fetchone() == (2,)
            with pytest.raises(ActionableError) as refused:
                cursor.execute("COMMIT; SELECT count(*) FROM users")
            assert refused.value.code == "tenant-left-within-string"
        raw.execute("SET search_path = public")
        with raw.cursor("server's") as cursor:
            assert cursor.execute("SELECT 1 FROM users").fetchall() == [(1,), (1,)]
        raw.rollback()
        raw.autocommit = True
        with pytest.raises(ActionableError) as refused:
            raw.execute("SELECT 1")
        assert refused.value.code == "tenant-in-autocommit"
        raw.autocommit = False


def test_behind_a_pooler_temporary_tables_are_dropped_and_listen_is_refused(client: Client) -> None:
    engine = client.state.engine
    with engine.connect() as connection:
        connection.execute(text("CREATE TEMPORARY TABLE secrets (secret text)"))
        connection.commit()
        connection.info["is_pooled"] = True  # as ``database.postgresql`` marks it
        with TenantSession(connection, info=ACME) as session:
            assert session.scalar(text("SELECT to_regclass('pg_temp.secrets')")) is None
            with pytest.raises(ActionableError) as refused:
                session.execute(text("LISTEN news"))
            assert refused.value.code == "tenant-listens-behind-pooler"
        connection.info["is_pooled"] = False


def test_a_connection_is_replaced_after_tenants_per_connection(client: Client) -> None:
    client.post("/tenants", json={"id": "globex"}, headers=KEY)
    served = []
    for tenant in ("acme", "acme", "globex", "acme"):
        with tenant_session(client.state.engine, tenant, tenants_per_connection=2) as session:
            served.append(session.scalar(text("SELECT pg_backend_pid()")))
    assert served[0] == served[1] == served[2] != served[3]


def test_one_tenant_is_backed_up_and_restored(
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
