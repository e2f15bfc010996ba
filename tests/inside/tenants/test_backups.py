"""Backups of tenants: what a run saves, and one tenant restored among others."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from my_service.migrate import drop_tenant

from tenants.support import Service, create_database, drop_database, on_server

NOTES = [
    "op.execute(\"CREATE TYPE mood AS ENUM ('good', 'bad')\")",
    'op.execute("CREATE TABLE notes (id serial PRIMARY KEY, mood mood, words text, bytes bytea,'
    ' at timestamptz DEFAULT now(), of uuid REFERENCES users, parts jsonb, numbers integer[])")',
    'op.execute("CREATE VIEW moods AS SELECT mood, count(*) FROM notes GROUP BY mood")',
    "op.execute(\"CREATE INDEX good ON notes (words) WHERE mood = 'good'\")",
    "op.execute(\"CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT $a$x$a$::text'\")",
]
UNDONE = [f'op.execute("DROP {thing}")' for thing in ("FUNCTION f()", "TABLE notes CASCADE")]


@pytest.fixture
def backups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for backups."""
    path = tmp_path / "backups"
    monkeypatch.setenv("BACKUP_DIRECTORY", str(path))
    return path


@pytest.fixture(params=["all", "each"])
def layout(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """One file for all, and one for each tenant."""
    monkeypatch.setenv("BACKUP_TENANTS", request.param)
    return str(request.param)


@pytest.fixture
def filled(service: Service, backups: Path) -> Iterator[Service]:
    """Three tenants with rows."""
    service.add(NOTES, [*UNDONE, 'op.execute("DROP TYPE mood")'])
    service.make("acme", "beta", "gone")
    for tenant in ("acme", "beta", "gone"):
        fill(service, tenant)
    yield service
    for kept in service.command("backup forget")[1].splitlines():
        service.command(f"backup forget {kept} --yes")


def fill(service: Service, tenant: str) -> None:
    """Give a tenant rows that are its own."""
    service.ask(
        f"INSERT INTO tenant_{tenant}.notes (mood, words, bytes, parts, numbers) VALUES"
        f" ('bad', E'{tenant}\\nline\\t\\\\.', '\\x00ff', '{{\"a\": 1}}', '{{1,NULL}}'),"
        f" ('good', 'COPY x FROM stdin;', NULL, NULL, NULL)"
    )


def contents(service: Service, tenant: str) -> dict[str, Any]:
    """Everything that a tenant has, its row in the registry included."""
    schema = f"tenant_{tenant}"
    tables = service.ask(
        f"SELECT tablename FROM pg_tables WHERE schemaname = '{schema}' ORDER BY 1"
    )
    found: dict[str, Any] = {
        name: service.ask(f'SELECT t::text FROM "{schema}"."{name}" AS t ORDER BY 1')
        for (name,) in tables
    }
    found["registry"] = service.ask(
        f"SELECT id, name, schema_name, status, revision FROM public.tenants WHERE id = '{tenant}'"
    )
    found["sequences"] = service.ask(
        f"SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = '{schema}' ORDER BY 1"
    )
    found["owners"] = service.ask(
        "SELECT c.relname, pg_get_userbyid(c.relowner), c.relacl::text FROM pg_class c"
        f" WHERE c.relnamespace = to_regnamespace('{schema}') ORDER BY 1"
    )
    return found


def identities(service: Service, tenant: str) -> list[Any]:
    """What tells a table from another one of the same name."""
    return service.ask(
        "SELECT oid, relfilenode FROM pg_class"
        f" WHERE relnamespace = to_regnamespace('tenant_{tenant}') ORDER BY 1"
    )


def made(service: Service, line: str = "backup create") -> dict[str, Any]:
    """Make a backup; return its manifest."""
    code, out, err = service.command(f"{line} --json")
    assert code == 0, err
    manifest: dict[str, Any] = json.loads(out)
    return manifest


def listed(service: Service) -> list[dict[str, Any]]:
    """The manifests, newest first."""
    manifests: list[dict[str, Any]] = json.loads(service.command("backup list --json")[1])
    return manifests


def restored(service: Service, line: str) -> str:
    """Restore; return what is printed."""
    code, out, err = service.command(f"backup restore {line} --yes")
    assert code == 0, err
    return out


def spoil(service: Service, tenant: str) -> None:
    """Do to a tenant what a backup is there for."""
    service.ask(f"DROP TABLE tenant_{tenant}.notes CASCADE")
    service.ask(f"UPDATE public.tenants SET name = 'spoiled' WHERE id = '{tenant}'")


def test_everything_comes_back(filled: Service, layout: str) -> None:
    before = {tenant: contents(filled, tenant) for tenant in ("acme", "beta", "gone")}
    manifest = made(filled)
    assert set(manifest["tenants"]) == set(before)
    assert len(manifest["files"]) == (1 if layout == "all" else 4)
    spoil(filled, "acme")
    drop_tenant(filled.engine, "gone", config=filled.config)
    filled.engine.dispose()
    restored(filled, manifest["name"])
    assert {tenant: contents(filled, tenant) for tenant in before} == before
    assert filled.command("tenant audit")[0] == 0
    assert filled.command("migrate latest")[1] == "Already up to date\n"


def test_one_tenant_comes_back_and_the_others_are_not_touched(filled: Service, layout: str) -> None:
    before = contents(filled, "acme")
    name = made(filled)["name"]
    spoil(filled, "acme")
    fill(filled, "beta")
    others, ids = contents(filled, "beta"), identities(filled, "beta")
    said = restored(filled, f"{name} --tenant acme")
    assert contents(filled, "acme") == before
    assert (contents(filled, "beta"), identities(filled, "beta")) == (others, ids)
    (kept,) = filled.command("backup forget")[1].split()
    assert f"kept as {kept}" in said
    assert filled.ask(f"SELECT count(*) FROM {kept}.users") == [(0,)]
    assert filled.command("tenant audit")[1] == "Registry and schemas agree\n"
    assert filled.command(f"backup forget {kept} --yes")[0] == 0
    assert filled.command("backup forget")[1] == "Nothing is kept\n"


def test_a_tenant_that_was_dropped_comes_back(filled: Service) -> None:
    before = contents(filled, "gone")
    name = made(filled)["name"]
    drop_tenant(filled.engine, "gone", config=filled.config)
    assert contents(filled, "gone")["registry"] == []
    said = restored(filled, f"{name} --tenant gone")
    assert contents(filled, "gone") == before
    assert "kept" not in said
    assert filled.command("tenant audit")[0] == 0


def test_a_tenant_whose_backup_is_older_than_public_is_behind_until_it_is_migrated(
    filled: Service,
) -> None:
    name = made(filled)["name"]
    filled.add('op.execute("CREATE TABLE more (id integer)")', 'op.execute("DROP TABLE more")')
    assert filled.all().success
    restored(filled, f"{name} --tenant acme")
    assert filled.stands()["acme"] == ("behind", "003")
    assert filled.stands()["beta"] == ("ready", "004")
    assert filled.all().success
    assert filled.stands()["acme"] == ("ready", "004")


def test_a_backup_of_one_tenant_holds_no_other(filled: Service) -> None:
    before = contents(filled, "acme")
    manifest = made(filled, "backup create --tenant acme")
    assert (set(manifest["tenants"]), manifest["whole"]) == ({"acme"}, False)
    spoil(filled, "acme")
    code, _, err = filled.command(f"backup restore {manifest['name']} --tenant beta --yes")
    assert (code, "does not hold the tenant 'beta'" in err) == (1, True)
    code, _, err = filled.command(f"backup restore {manifest['name']} --yes")
    assert (code, "holds 1 tenant and not the whole database" in err) == (1, True)
    restored(filled, f"{manifest['name']} --tenant acme")
    assert contents(filled, "acme") == before


def test_a_run_saves_only_what_it_touches_and_only_once(
    filled: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGRATION_BACKUP", "auto")
    assert filled.command("migrate latest")[0] == 0
    assert listed(filled) == []
    assert filled.command("migrate rollback --tenant acme")[0] == 0
    (first,) = listed(filled)
    assert (set(first["tenants"]), first["whole"]) == ({"acme"}, False)
    assert filled.command("migrate latest")[0] == 0
    second, _ = listed(filled)
    assert (set(second["tenants"]), second["whole"]) == ({"acme"}, False)
    filled.add("pass")
    assert filled.command("migrate latest")[0] == 0
    third, *others = listed(filled)
    assert len(others) == 2
    assert (set(third["tenants"]), third["whole"]) == ({"acme", "beta", "gone"}, True)
    assert filled.command("migrate rollback")[0] == 0
    assert len(listed(filled)) == 4


def test_a_tenant_that_is_new_needs_no_backup(
    filled: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGRATION_BACKUP", "auto")
    assert filled.command("tenant create new")[0] == 0
    assert listed(filled) == []


def test_the_error_of_a_tenant_names_the_backup_and_its_command(
    filled: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGRATION_BACKUP", "auto")
    filled.ask("DROP TABLE tenant_beta.notes CASCADE")
    filled.add('op.execute("ALTER TABLE notes ADD note text")')
    assert filled.command("migrate latest")[0] == 1
    (manifest,) = listed(filled)
    ((error,),) = filled.ask("SELECT error FROM public.tenants WHERE id = 'beta'")
    assert f"backup restore {manifest['name']} --tenant beta" in error


def test_a_restore_that_is_killed_leaves_the_one_or_the_other(filled: Service) -> None:
    before = contents(filled, "acme")
    name = made(filled)["name"]
    began = time.monotonic()
    assert filled.start("backup", "restore", name, "--tenant", "acme", "--yes").finish()[0] == 0
    takes = time.monotonic() - began
    spoil(filled, "acme")
    spoiled = contents(filled, "acme")
    chance = random.Random(16)
    for _ in range(5):
        process = filled.start("backup", "restore", name, "--tenant", "acme", "--yes")
        time.sleep(chance.uniform(0.2, 1.0) * takes)
        process.kill()
        process.finish()
        assert contents(filled, "acme") in (before, spoiled)
    restored(filled, f"{name} --tenant acme")
    assert contents(filled, "acme") == before


def test_what_is_not_what_was_saved_is_not_put_in_place(filled: Service, backups: Path) -> None:
    name = made(filled)["name"]
    path = backups / f"{name}.json"
    manifest = json.loads(path.read_text())
    manifest["tenants"]["acme"]["fingerprint"] = "0" * 64
    path.write_text(json.dumps(manifest))
    before = contents(filled, "acme"), identities(filled, "acme")
    for line in (f"{name} --tenant acme", name):
        filled.engine.dispose()
        code, _, err = filled.command(f"backup restore {line} --yes")
        assert (code, "the schema of acme" in err) == (1, True)
        assert (contents(filled, "acme"), identities(filled, "acme")) == before
    assert filled.command("backup forget")[1] == "Nothing is kept\n"


def test_while_instances_live_nothing_is_restored(filled: Service) -> None:
    name = made(filled)["name"]
    filled.ask("CREATE TABLE public.service_instances (id text, beat_at timestamptz)")
    filled.ask(
        "INSERT INTO public.service_instances VALUES ('a', now()), ('b', now() - interval '61 s')"
    )
    for line in (f"{name} --tenant acme", name):
        filled.engine.dispose()
        code, _, err = filled.command(f"backup restore {line} --yes")
        assert (code, "1 instance of the service uses this database" in err) == (1, True)


def test_a_tenant_comes_back_into_another_database(filled: Service) -> None:
    name = made(filled)["name"]
    before = contents(filled, "acme")
    other = f"elsewhere_{uuid4().hex}"
    create_database(other)
    address = filled.engine.url.set(database=other).render_as_string(hide_password=False)
    filled.patch.setenv("DATABASE_URL", address)
    try:
        assert filled.command("migrate latest")[0] == 0
        filled.patch.setenv("DATABASE_URL", str(filled.engine.url.render_as_string(False)))
        restored(filled, f"{name} --tenant acme --to {address}")
        there = sa.create_engine(address, poolclass=sa.NullPool)
        with there.connect() as connection:
            rows = connection.exec_driver_sql(
                "SELECT t::text FROM tenant_acme.notes AS t ORDER BY 1"
            )
            assert [tuple(row) for row in rows] == before["notes"]
    finally:
        drop_database(other)


def test_roles_of_tenants_come_back_and_the_login_has_none_of_their_rights(
    service: Service, backups: Path
) -> None:
    service.ordinary_user()
    service.roles()
    service.add(NOTES, [*UNDONE, 'op.execute("DROP TYPE mood")'])
    service.make("roled", "beta")
    fill_as_role(service, "roled")
    before = as_superuser(service, "roled")
    name = made(service, "backup create --tenant roled")["name"]
    drop_tenant(service.engine, "roled", config=service.config)
    assert on_server("SELECT count(*) FROM pg_roles WHERE rolname = 'tenant_roled'") == [0]
    restored(service, f"{name} --tenant roled")
    assert as_superuser(service, "roled") == before
    with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
        service.ask("SELECT * FROM tenant_roled.notes")
    restored(service, f"{name} --tenant roled")  # over one that is there
    assert as_superuser(service, "roled") == before
    with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
        service.ask("SELECT * FROM tenant_roled.notes")
    whole = made(service)
    assert len(whole["files"]) == 3
    on_server(f"ALTER ROLE {service.engine.url.username} CREATEDB")
    service.engine.dispose()
    restored(service, whole["name"])
    assert as_superuser(service, "roled") == before
    with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
        service.ask("SELECT * FROM tenant_roled.notes")
    may = "has_database_privilege('tenant_roled', current_database(), 'CREATE')"
    assert service.ask(f"SELECT {may}") == [(False,)]
    for kept in service.command("backup forget")[1].splitlines():
        assert service.command(f"backup forget {kept} --yes")[0] == 0


def fill_as_role(service: Service, tenant: str) -> None:
    """Give a tenant with a role rows."""
    service.ask(f"SET ROLE tenant_{tenant}; INSERT INTO tenant_{tenant}.notes (words) VALUES ('a')")


def as_superuser(service: Service, tenant: str) -> dict[str, Any]:
    """Everything that a tenant has, looked at by one who may see everything."""
    former = service.engine
    service.engine = sa.create_engine(former.url.set(username="postgres"))
    try:
        return contents(service, tenant)
    finally:
        service.engine = former
