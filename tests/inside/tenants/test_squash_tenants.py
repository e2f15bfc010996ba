"""``migrate squash`` with tenants: one file makes both kinds of schema."""

from __future__ import annotations

import json

import pytest
from my_service.migrate.tenants import newest, rollback_tenant

from engine.git import commit
from tenants.support import Service, replays

TABLE = 'op.create_table("notes", sa.Column("id", sa.Integer, primary_key=True))'
PLANS = 'op.create_table("plans", sa.Column("id", sa.Integer, primary_key=True))'
LOG = 'op.create_table("log", sa.Column("at", sa.Integer))'


@pytest.fixture
def five(service: Service) -> Service:
    """The service's two migrations, and one for each kind of schema, committed."""
    service.add(TABLE, 'op.drop_table("notes")')
    service.add(PLANS, 'op.drop_table("plans")', schemas="shared")
    service.add(LOG, 'op.drop_table("log")', schemas="all")
    commit(service.versions.parent)
    return service


def tables(service: Service, schema: str) -> set[str]:
    """Names of the tables of a schema, without those of the engine."""
    rows = service.ask(f"SELECT tablename FROM pg_tables WHERE schemaname = '{schema}'")
    names = {name for (name,) in rows}
    return names - {"alembic_version", "migration_history", "service_instances"}


def squash(service: Service) -> None:
    """Squash them all."""
    code, out, err = service.command("migrate squash 005")
    assert (code, err) == (0, ""), out
    assert [path.stem for path in service.versions.glob("*.py")] == ["005_squashed"]


def test_each_schema_runs_its_part_of_the_squashed_file_and_tenants_replay_it(
    five: Service,
) -> None:
    squash(five)
    taken = replays(five)
    five.make(*"abcde")
    assert len(taken) == 3
    assert tables(five, "public") == {"tenants", "plans", "log"}
    for tenant in "ae":
        assert tables(five, f"tenant_{tenant}") == {"users", "notes", "log"}
    assert set(five.statuses().values()) == {("ready", "005")}
    assert five.command("migrate verify")[0] == 0
    assert five.command("tenant verify") == (0, "Tenants: 5 in step, 0 differ\n", "")


def test_a_tenant_with_all_replaced_migrations_records_the_squashed_one(five: Service) -> None:
    five.make(*"abcde")
    before = [tables(five, schema) for schema in ("public", "tenant_a")]
    squash(five)
    assert five.command("migrate latest") == (0, "Already up to date\n", "")
    assert [tables(five, schema) for schema in ("public", "tenant_a")] == before
    assert json.loads(five.command("migrate status --json")[1])["pending"] == []
    assert five.command("tenant verify")[0] == 0
    # Later migrations are replayed as usual.
    five.add('op.add_column("notes", sa.Column("x", sa.Integer))', 'op.drop_column("notes", "x")')
    taken = replays(five)
    assert five.all().success
    assert len(taken) == 3
    assert set(five.statuses().values()) == {("ready", "006")}
    assert five.command("tenant verify")[0] == 0


def test_a_squashed_migration_is_not_rolled_back_in_any_schema(five: Service) -> None:
    five.make("a")
    squash(five)
    five.make("new")
    five.add('op.add_column("notes", sa.Column("x", sa.Integer))', 'op.drop_column("notes", "x")')
    assert five.all().success
    for _ in range(2):
        assert five.command("migrate rollback --all")[0] == 0
        assert set(five.statuses().values()) == {("ready", "005")}
    for tenant in ("a", "new"):
        assert five.command(f"migrate rollback --all --tenant {tenant}")[0] == 0
        assert tables(five, f"tenant_{tenant}") == {"users", "notes", "log"}
    assert five.command("migrate down")[0] == 1


def test_a_tenant_with_only_some_replaced_migrations_is_refused(five: Service) -> None:
    five.make("a", "b")
    assert rollback_tenant(five.engine, "b", choose=newest, config=five.config).success
    assert five.statuses() == {"a": ("ready", "005"), "b": ("behind", "004")}
    squash(five)
    code, out, _ = five.command("migrate latest")
    assert (code, "has only some of the migrations that 005_squashed" in out) == (1, True)
    assert five.statuses() == {"a": ("ready", "005"), "b": ("behind", "004")}
    assert tables(five, "tenant_b") == {"users", "notes"}


def test_a_statement_that_names_its_tenant_schema_cannot_be_squashed(service: Service) -> None:
    schema = 'op.get_context().opts["scope"].name'
    service.add(f"op.execute(f'CREATE TABLE {{{schema}}}.notes ()')")
    commit(service.versions.parent)
    before = sorted(service.versions.glob("*.py"))
    code, out, err = service.command("migrate squash 003")
    assert (code, out) == (1, "")
    assert "names the schema of its tenant: CREATE TABLE tenant_scratch.notes" in err
    assert sorted(service.versions.glob("*.py")) == before
