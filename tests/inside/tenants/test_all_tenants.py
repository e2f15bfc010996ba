"""Runs over all tenants: failures, leftovers, newer releases, repeated runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from my_service.database.tenant_session import TenantSession
from my_service.errors import HttpError
from my_service.migrate import MigrationResult, audit_tenants, drop_tenant, run_backfills
from my_service.migrate.tenants import (
    rollback_all_tenants,
    rollback_tenant,
    run_all_tenant_migrations,
    run_tenant_migrations,
)
from sqlalchemy import NullPool, create_engine, text

from tenants.support import Service

NAMES = tuple(f"t{n}" for n in range(8))
ADD = 'op.add_column("users", sa.Column("nick", sa.Text))'
REMOVE = 'op.drop_column("users", "nick")'
BREAK = "ALTER TABLE tenant_{}.users ADD nick text"


def test_a_failed_tenant_does_not_stop_others_and_the_next_run_retries_only_it(
    service: Service,
) -> None:
    service.make(*NAMES)
    service.add(ADD, REMOVE)
    for tenant in ("t0", "t5"):  # one that would be a canary, and one that would replay
        service.ask(BREAK.format(tenant))
    code, out, err = service.command("tenant migrate")
    assert code == 1
    assert "Tenants: 6 migrated, 2 failed\n" in out
    assert "t5: 003_change failed" in out and "t5: 003_change failed" in err
    assert "8 of 8 tenants\n" in err
    failed = {tenant for tenant, status in service.statuses().items() if status[0] == "failed"}
    assert failed == {"t0", "t5"}
    service.ask("ALTER TABLE tenant_t0.users DROP nick")
    code, out, _ = service.command("tenant migrate --json")
    body = json.loads(out)
    assert code == 1
    assert {one["tenant"]: one["success"] for one in body["tenants"]} == {"t0": True, "t5": False}
    service.ask("ALTER TABLE tenant_t5.users DROP nick")
    assert service.command("tenant migrate t5")[0] == 0
    assert set(service.statuses().values()) == {("ready", "003")}
    assert service.all().tenants == ()


def test_history_and_stats_show_tenant_runs_and_tenants_per_second(service: Service) -> None:
    service.make(*NAMES)
    service.add(ADD, REMOVE)
    service.ask(BREAK.format("t5"))
    service.command("tenant migrate")
    service.ask("ALTER TABLE tenant_t5.users DROP nick")
    service.command("tenant migrate")
    newest, failed, *_ = json.loads(service.command("migrate history --json")[1])
    assert (newest["state"], newest["tenants"], newest["tenants_failed"]) == ("applied", 1, 0)
    assert (failed["state"], failed["tenants"], failed["tenants_failed"]) == ("failed", 7, 1)
    assert failed["migrations"] == ["003_change"] and "t5" in service.command("migrate history")[2]
    stats = json.loads(service.command("migrate stats --json")[1])
    assert stats["tenants"] >= 8
    assert stats["tenants_per_second"] == stats["tenants"] / stats["tenant_seconds"]
    assert f"{stats['tenants_per_second']:.1f} a second" in service.command("migrate stats")[1]


def test_without_a_database_runs_over_tenants_give_an_error_and_raise_none(
    service: Service,
) -> None:
    away = create_engine("postgresql+psycopg://me:hidden@127.0.0.1:1/nowhere", poolclass=NullPool)
    errors = [
        run_tenant_migrations(away, "a", config=service.config).error,
        rollback_tenant(away, "a", config=service.config).error,
        run_all_tenant_migrations(away, config=service.config).public.error,
        rollback_all_tenants(away, config=service.config).public.error,
        run_backfills(away, service.config).error,
    ]
    assert [error and error.code for error in errors] == ["database-away"] * 5


def test_a_folder_with_errors_is_an_error_of_the_result(service: Service) -> None:
    service.make("a")
    (service.versions / "009_broken.py").write_text("revision = ")
    errors = [
        service.all().public.error,
        service.one("a").error,
        rollback_tenant(service.engine, "a", config=service.config).error,
        rollback_all_tenants(service.engine, config=service.config).public.error,
    ]
    assert [error and error.code for error in errors] == ["file-does-not-import"] * 4


def test_a_run_that_stops_keeps_the_results_of_the_tenants_before(service: Service) -> None:
    service.make(*NAMES)
    service.add(ADD)
    finished: list[int] = []

    def lose_the_registry(total: int) -> None:
        finished.append(total)
        if len(finished) == 2:  # after the canaries
            service.ask("ALTER TABLE public.tenants RENAME TO lost")

    service.after_each_tenant(lose_the_registry)
    run = service.all()
    service.ask("ALTER TABLE public.lost RENAME TO tenants")
    assert run.public.error is not None and "tenants" in run.public.error.problem
    assert run.public.error.impact == "What was done before it stays."
    assert (run.public.success, run.public.migrations) == (False, ("003_change",))
    assert [result.success for result in run.tenants] == [True, True]
    (newest, *_) = json.loads(service.command("migrate history --json")[1])
    assert (newest["state"], newest["tenants"], newest["tenants_failed"]) == ("failed", 2, 0)
    assert service.all().success


def test_failed_tenants_at_the_right_revision_become_ready(service: Service) -> None:
    service.make("a", "b", "c", "d")
    service.ask("UPDATE public.tenants SET status = 'failed'")
    run = service.all()
    assert run.success, run.failed[:1]
    assert set(service.statuses().values()) == {("ready", "002")}


def test_a_run_stops_after_max_failures(service: Service) -> None:
    service.make(*NAMES)
    service.add(ADD)
    for tenant in NAMES[2:]:
        service.ask(BREAK.format(tenant))
    run = service.all(max_failures=2)
    assert len(run.failed) == 2
    statuses = list(service.statuses().values())
    assert statuses.count(("failed", "002")) == 2 and statuses.count(("ready", "002")) == 4


def test_an_older_release_does_not_change_newer_tenants(service: Service) -> None:
    service.make(*NAMES[:4])
    newest = service.add(ADD)
    service.register("late")
    assert service.all(max_failures=1).success
    before = service.statuses()
    text_of = newest.read_text()
    service.remove(newest)
    assert service.all().tenants == ()
    one = service.one("t1")
    assert one.error is not None and "missing" in one.error.problem + one.error.impact
    assert not service.one("brand_new").success
    assert service.statuses() == before
    newest.write_text(text_of)


def test_a_tenant_that_another_process_migrated_is_reconciled(service: Service) -> None:
    service.make(*NAMES)
    service.add(ADD)
    # As if another process migrates it between reading the registry and the replay.
    assert service.one("t6").success
    service.ask("UPDATE public.tenants SET revision = '002' WHERE id = 't6'")
    assert service.all().success
    assert set(service.statuses().values()) == {("ready", "003")}
    assert audit_tenants(service.engine) == []


def test_a_migration_outside_a_transaction_runs_per_tenant_and_resets_search_path(
    service: Service,
) -> None:
    service.make(*NAMES[:3])
    index = 'op.create_index("late", "users", ["name"], postgresql_concurrently=True)'
    service.add(index, 'op.drop_index("late")', extra="transaction = False")
    service.ask("CREATE INDEX late ON tenant_t1.users (name)")
    run = service.all()
    assert [result.tenant for result in run.failed] == ["t1"]
    paths = set()
    for _ in range(5):
        with service.engine.connect() as one, service.engine.connect() as two:
            paths |= {c.scalar(text("SHOW search_path")) for c in (one, two)}
    assert paths == {"no_tenant"}
    service.ask("DROP INDEX tenant_t1.late")
    assert service.all().success
    indexes = service.ask("SELECT schemaname FROM pg_indexes WHERE indexname = 'late' ORDER BY 1")
    assert indexes == [("tenant_t0",), ("tenant_t1",), ("tenant_t2",)]


@pytest.mark.parametrize("leave", ["SET search_path TO public", "RESET search_path"])
def test_a_body_that_changes_the_search_path_does_not_affect_the_next_one(
    service: Service, leave: str
) -> None:
    service.make("acme")
    service.add(f"op.execute({leave!r})")
    service.add('op.create_table("notes", sa.Column("id", sa.Integer))')
    assert service.all().success
    schemas = service.ask("SELECT schemaname FROM pg_tables WHERE tablename = 'notes'")
    assert schemas == [("tenant_acme",)]


def test_a_rollback_takes_every_tenant_to_the_revision_of_public(service: Service) -> None:
    service.make(*NAMES[:4])
    service.add(ADD, REMOVE)
    service.ask(BREAK.format("t3"))
    assert len(service.all().failed) == 1
    assert service.command("migrate rollback")[0] == 0
    assert set(service.statuses().values()) == {("ready", "002")}  # including the failed one
    assert service.ask("SELECT version_num FROM public.alembic_version") == [("002",)]
    columns = "SELECT table_schema FROM information_schema.columns WHERE column_name = 'nick'"
    assert service.ask(columns) == [("tenant_t3",)]


def test_a_rollback_that_fails_in_a_tenant_leaves_public_and_can_continue(service: Service) -> None:
    service.make(*NAMES[:4])
    service.add(ADD, REMOVE)
    assert service.all().success
    service.ask("CREATE VIEW tenant_t3.uses AS SELECT nick FROM tenant_t3.users")
    code, _, err = service.command("migrate rollback")
    assert code == 1 and "shared schema was not touched" in err
    assert service.ask("SELECT version_num FROM public.alembic_version") == [("003",)]
    assert service.statuses()["t3"] == ("failed", "003")
    service.ask("DROP VIEW tenant_t3.uses")
    assert service.command("migrate rollback")[0] == 0
    assert set(service.statuses().values()) == {("ready", "002")}


def test_the_registry_is_not_rolled_back_while_there_are_tenants(service: Service) -> None:
    service.make(*NAMES[:3])
    service.ask("INSERT INTO tenant_t0.users (email, password_hash, name) VALUES ('a', 'b', 'c')")
    for command in ("migrate rollback", "migrate rollback --all", "migrate down"):
        code, _, err = service.command(command)
        assert code == 1 and "registry" in err
    assert service.ask("SELECT count(*) FROM tenant_t0.users") == [(1,)]
    assert set(service.statuses().values()) == {("ready", "002")}
    for tenant in NAMES[:3]:
        drop_tenant(service.engine, tenant, config=service.config)
    assert service.command("migrate rollback --all")[0] == 0


def test_a_tenant_rolled_back_alone_answers_no_request_until_it_is_migrated(
    service: Service,
) -> None:
    service.make("a", "b")
    service.add(ADD, REMOVE)
    assert service.all().success
    code, out, _ = service.command("migrate rollback --tenant a")
    assert (code, out) == (0, "Batch 2 rolled back: 1 migration\n")
    assert service.statuses() == {"a": ("behind", "002"), "b": ("ready", "003")}
    info = {"tenant": "a", "role": False}
    with (
        TenantSession(service.engine, info=info) as session,
        pytest.raises(HttpError, match="is not ready"),
    ):
        session.execute(text("SELECT 1"))
    rows = service.command("migrate status --tenants")[1].splitlines()[-2:]
    assert rows == ["002\tbehind\t1", "003\tready\t1"]
    code, _, err = service.command("migrate rollback --tenant nobody")
    assert code == 1 and "no tenant 'nobody'" in err
    assert service.all().success
    assert service.statuses()["a"] == ("ready", "003")


def test_an_unknown_tenant_does_not_see_tables_of_public(service: Service) -> None:
    service.make("a")
    service.ask("CREATE TABLE public.users AS SELECT 1 AS id")
    info = {"tenant": "nobody", "role": False}
    with (
        TenantSession(service.engine, info=info) as session,
        pytest.raises(HttpError, match="no tenant"),
    ):
        session.execute(text("SELECT * FROM users"))


def test_migrations_run_in_shared_or_tenant_schemas_as_declared(service: Service) -> None:
    service.add('op.create_table("plans", sa.Column("id", sa.Integer))', schemas="shared")
    service.add('op.create_table("notes", sa.Column("id", sa.Integer))')
    service.make("a", "b", "c")
    tables = service.ask(
        "SELECT tablename, schemaname FROM pg_tables WHERE tablename IN ('plans', 'notes')"
        " ORDER BY 1, 2"
    )
    assert tables == [("notes", f"tenant_{t}") for t in "abc"] + [("plans", "public")]


def test_a_failure_in_public_stops_the_run_before_the_tenants(service: Service) -> None:
    service.make("a")
    path: Path = service.add("raise ValueError('no')", schemas="shared")
    run = service.all()
    assert isinstance(run.public, MigrationResult) and not run.success and run.tenants == ()
    assert service.statuses() == {"a": ("ready", "002")}
    assert path.exists()
