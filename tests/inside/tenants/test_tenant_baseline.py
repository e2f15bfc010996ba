"""``tenant baseline``: existing tenants' schemas are taken over unchanged."""

from __future__ import annotations

import json

import pytest

from tenants.support import Service

TABLE = 'op.create_table("notes", sa.Column("id", sa.Integer, primary_key=True))'


@pytest.fixture
def found(service: Service) -> Service:
    """Three unregistered schemas with tables and without a history."""
    service.make("a", "b", "c")
    for tenant in "abc":
        service.ask(
            f"DROP TABLE tenant_{tenant}.alembic_version, tenant_{tenant}.migration_history"
        )
        service.ask(
            f"INSERT INTO tenant_{tenant}.users (email, password_hash, name) VALUES ('', '', '')"
        )
    service.ask("DELETE FROM public.tenants")
    return service


def test_tenants_that_equal_the_chain_are_taken_over(found: Service) -> None:
    found.ask("CREATE INDEX by_hand ON tenant_b.users (name)")
    found.ask("CREATE SCHEMA tenant_empty")
    code, out, err = found.command("tenant baseline")
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert lines[:2] == [
        "Tenant b:",
        "index by_hand is there; the migrations do not make it",
    ]
    assert lines[-2:] == [
        "Taken over: 2 tenants, 2 migrations recorded in each",
        "No rollback undoes these migrations, not even rollback --all",
    ]
    assert found.statuses() == {"a": ("ready", "002"), "c": ("ready", "002")}
    rows = found.ask("SELECT batch, revision, fingerprint IS NULL FROM tenant_a.migration_history")
    assert rows == [(0, "001", True), (0, "002", False)]
    assert json.loads(found.command("tenant baseline --json")[1])["tenants"] == []

    assert found.command("tenant baseline b --accept-differences by_the_DBA")[0] == 0
    notes = found.ask("SELECT note FROM tenant_b.migration_history ORDER BY id")
    assert notes == [(None,), ("by_the_DBA",)]
    assert found.command("tenant baseline")[:2] == (
        0,
        "Taken over: 0 tenants, 0 migrations recorded in each\n",
    )
    assert found.command("tenant audit")[0] == 1  # tenant_empty


def test_later_migrations_are_rolled_back_and_a_baseline_is_not(found: Service) -> None:
    found.add(TABLE, 'op.drop_table("notes")')
    found.all()
    assert found.command("tenant baseline --at 002")[0] == 0
    assert set(found.statuses().values()) == {("provisioning", "002")}
    assert found.all().success
    assert set(found.statuses().values()) == {("ready", "003")}
    assert found.command("tenant verify")[0] == 0
    assert found.command("migrate rollback")[0] == 0
    assert set(found.statuses().values()) == {("ready", "002")}
    for tenant in "abc":
        assert found.command(f"migrate rollback --all --tenant {tenant}")[0] == 0
        assert found.ask(f"SELECT count(*) FROM tenant_{tenant}.users") == [(1,)]


def test_rolling_back_public_does_not_undo_the_baseline_of_a_tenant(found: Service) -> None:
    found.add(TABLE, 'op.drop_table("notes")')
    found.all()
    for tenant in "abc":
        found.ask(f"CREATE TABLE tenant_{tenant}.notes (id serial PRIMARY KEY)")
    assert found.command("tenant baseline")[0] == 0
    code, out, _ = found.command("migrate rollback")
    assert (code, "a: 003_change: it was taken over without being run" in out) == (1, True)
    assert set(found.statuses().values()) == {("ready", "003")}
    assert found.command("migrate current")[1] == "003\n"


def test_only_a_schema_with_tables_and_without_history_is_taken_over(found: Service) -> None:
    assert "tenant baseline a" in found.command("tenant create a")[2]
    assert found.command("tenant baseline a")[0] == 0
    for tenant in ("a", "nobody"):
        code, _, err = found.command(f"tenant baseline {tenant}")
        assert (code, err.splitlines()[0]) == (
            1,
            f"Problem:  There is no schema of tenant {tenant} that has tables and no history.",
        )
    assert found.command("tenant baseline b --accept-differences= ")[0] == 1
    assert found.statuses() == {"a": ("ready", "002")}
