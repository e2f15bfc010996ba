"""``tenant verify``: all tenants by one query, and the fingerprints of replayed tenants."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import sqlalchemy as sa
from my_service.migrate import MigrationConfig, Snapshot, verify_schema, verify_tenants
from my_service.migrate.tenants import bulk, verify

from tenants.support import Service, on_server, replays

TABLE = 'op.create_table("notes", sa.Column("id", sa.Integer, primary_key=True))'


@pytest.fixture
def five(service: Service) -> Service:
    """Five tenants, of which three were replayed."""
    taken = replays(service)
    service.make("a", "b", "c", "d", "e")
    assert len(taken) == 3
    return service


def test_migrated_and_replayed_tenants_are_in_step(five: Service) -> None:
    assert verify_schema(five.engine, config=five.config).differences == ()
    found = verify_tenants(five.engine, config=five.config)
    assert (found.success, found.compared, found.not_compared) == (True, 5, ())


def test_each_difference_is_reported_for_the_tenants_that_have_it(five: Service) -> None:
    five.ask("CREATE INDEX by_hand ON tenant_b.users (name)")
    five.ask("CREATE INDEX by_hand ON tenant_d.users (name)")
    five.ask("DROP TABLE tenant_e.users CASCADE")
    found = verify_tenants(five.engine, config=five.config)
    differences = {
        one.tenant: [str(difference) for difference in one.differences] for one in found.drifted
    }
    index = ["index by_hand is there; the migrations do not make it"]
    assert differences == {"b": index, "d": index, "e": ["table users is missing"]}
    assert verify_tenants(five.engine, ["a", "c"], config=five.config).success


def test_of_tenants_that_differ_equally_only_one_is_read_in_full(five: Service) -> None:
    for tenant in "abcd":
        five.ask(f"CREATE INDEX by_hand ON tenant_{tenant}.users (name)")
    read: list[str] = []
    snapshot_schema = verify.snapshot_schema

    def counted(engine: sa.Engine, *, config: MigrationConfig) -> Snapshot:
        read.append(config.scope.name)
        return snapshot_schema(engine, config=config)

    five.patch.setattr(verify, "snapshot_schema", counted)
    assert len(verify_tenants(five.engine, config=five.config).drifted) == 4
    assert read == ["tenant_a"]


def test_a_tenant_that_is_behind_is_not_compared(five: Service) -> None:
    five.add(TABLE, 'op.drop_table("notes")')
    five.all()
    assert five.command("migrate rollback --tenant b")[0] == 0
    code, out, _ = five.command("tenant verify")
    assert (code, out.splitlines()) == (
        0,
        [
            "Tenants: 4 in step, 0 differ",
            "1 tenant not compared, because not at the shared schema's revision: tenant list",
        ],
    )


def test_tenant_verify_prints_text_and_json(five: Service) -> None:
    assert five.command("tenant verify") == (0, "Tenants: 5 in step, 0 differ\n", "")
    five.ask("DROP TABLE tenant_c.users CASCADE")
    code, out, err = five.command("tenant verify")
    assert (code, err) == (1, "")
    assert out.splitlines()[:2] == [
        "Tenant c changed since its last run:",
        "table users is missing",
    ]
    assert out.splitlines()[-1] == "Tenants: 4 in step, 1 differ"
    assert five.command("tenant verify a")[0] == 0
    assert five.command("tenant verify nobody")[0] == 1
    found = json.loads(five.command("tenant verify --json")[1])
    assert (found["success"], found["compared"]) == (False, 5)
    drifted = [(one["tenant"], one["changed_since_run"]) for one in found["drifted"]]
    assert drifted == [("c", True)]
    five.ask("DROP SCHEMA tenant_c CASCADE")
    [gone] = json.loads(five.command("tenant verify --json")[1])["drifted"]
    assert (gone["tenant"], gone["changed_since_run"]) == ("c", None)
    assert "table users is missing" in [one["sentence"] for one in gone["differences"]]
    five.ask("ALTER TABLE tenants RENAME TO away")
    for command in ("tenant verify", "tenant baseline"):
        found = json.loads(five.command(f"{command} --json")[1])
        assert (found["success"], found["error"]["code"]) == (False, "no-registry")
    assert five.command("tenant baseline")[1] == ""


def test_tenants_with_roles_are_verified(service: Service) -> None:
    service.ordinary_user()
    on_server(f"ALTER ROLE {service.engine.url.username} CREATEDB")  # for the scratch database
    service.roles()
    service.make("a", "b", "c", "d")
    found = verify_tenants(service.engine, config=service.config)
    assert (found.compared, found.drifted) == (4, ())
    path = service.versions / "001_create_users_table.py"
    path.write_text(
        path.read_text() + "\n_up = upgrade\n\n\ndef upgrade() -> None:\n    _up()\n"
        "    op.execute(\"COMMENT ON TABLE users IS 'x'\")\n"
    )
    service.ask("SET LOCAL ROLE tenant_c; ALTER TABLE tenant_c.users ADD x integer")
    found = verify_tenants(service.engine, config=service.config)
    drifted = {one.tenant: one.changed_since_run for one in found.drifted}
    assert drifted == {"a": False, "b": False, "c": True, "d": False}


def test_a_replayed_tenant_records_the_fingerprint_of_its_canary(five: Service) -> None:
    five.add(TABLE, 'op.drop_table("notes")')
    taken = replays(five)
    assert five.all().success
    assert taken
    kept = {
        tenant: five.ask(
            f"SELECT fingerprint FROM tenant_{tenant}.migration_history ORDER BY id DESC LIMIT 1"
        )
        for tenant in "abcde"
    }
    [(first,)] = kept["a"]
    assert first is not None
    assert all(rows == [(first,)] for rows in kept.values())


def test_verify_after_a_run_reports_a_tenant_that_differs_as_failed(five: Service) -> None:
    five.patch.delenv("MIGRATION_VERIFY")  # the default
    five.ask("CREATE INDEX by_hand ON tenant_d.users (name)")
    five.add(TABLE, 'op.drop_table("notes")')
    code, out, _ = five.command("migrate latest")
    assert code == 1
    assert "Tenants: 4 migrated, 1 failed" in out
    assert "index by_hand is there" in out
    assert five.ask("SELECT count(*) FROM tenant_d.notes") == [(0,)]


def test_without_a_scratch_database_tenants_are_compared_with_the_majority(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service.ordinary_user()  # who may not make databases
    service.make("a", "b", "c", "d", "e")
    service.config = replace(service.config, verify="tenants")
    service.ask("CREATE INDEX by_hand ON tenant_a.users (name)")
    service.add(TABLE, 'op.drop_table("notes")')
    run = service.all()
    assert run.public.success
    (failed,) = run.failed
    assert failed.tenant == "a" and "index by_hand is there" in str(failed.error)
    assert "tenant verify a" in str(failed.error)
    assert "Tenants are compared with b, not with the migrations" in caplog.text


def test_a_run_with_equal_tenants_needs_no_scratch_database(five: Service) -> None:
    five.patch.delenv("MIGRATION_VERIFY")  # the default
    made: list[object] = []
    five.patch.setattr(verify, "chain_snapshot", lambda *arguments: made.append(arguments))
    five.patch.setattr(verify, "Folder", lambda *arguments: made.append(arguments))
    five.add(TABLE, 'op.drop_table("notes")')
    assert five.command("migrate latest")[0] == 0
    assert five.command("migrate rollback")[0] == 0
    assert made == []


def test_an_incomplete_replay_is_found(five: Service) -> None:
    execute = bulk.execute
    five.patch.setattr(
        bulk,
        "execute",
        lambda raw, statements: execute(raw, [s for s in statements if "by_name" not in s.query]),
    )
    five.config = replace(five.config, verify="tenants")
    five.add('op.create_index("by_name", "users", ["name"])', 'op.drop_index("by_name")')
    run = five.all()
    assert {result.tenant for result in run.failed} == {"c", "d", "e"}
    assert all("index by_name is missing" in str(result.error) for result in run.failed)


def test_migrate_diff_accepts_a_tenant(five: Service) -> None:
    assert five.command("migrate diff tenant:a tenant:b") == (0, "", "")
    assert five.command("migrate diff chain tenant:b") == (0, "", "")
    five.ask("CREATE INDEX by_hand ON tenant_b.users (name)")
    assert five.command("migrate diff tenant:a tenant:b") == (1, "+ index by_hand\n", "")
    assert five.command("migrate diff models tenant:b")[1].endswith("+ index by_hand\n")
    code, out, err = five.command("migrate diff tenant:nobody chain")
    assert (code, out) == (1, "")
    assert "tenant:nobody cannot be compared: LookupError: its schema is missing or empty" in err
