"""Backfills of tenants: one tenant at a time, one total, each row once even after kills."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from my_service import migrations
from my_service.migrate import (
    BackfillProgress,
    Observer,
    Registration,
    drop_tenant,
    fill_tenants,
    get_lock_holder,
    get_migration_status,
    rollback_all_tenants,
    rollback_tenant,
    run_backfills,
)
from my_service.migrations.target import bring_up_to_date
from my_service.replica import Replica
from my_service.settings import Settings

from engine.support import count_imports, wait_until
from tenants.support import Service, dies_at, replays

TABLE = 'op.execute("CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL CHECK (n <> 9999))")'
NO_TABLE = 'op.drop_table("t")'
FILL = """
from my_service.migrate import Backfill

phase = "backfill"
backfill = Backfill(table="t", set={"n": "n + 1"})
"""
CONTRACT = 'phase = "contract"'
ROWS = 250
NAMES = ("a", "b", "c", "d")


class ProgressRecorder(Observer):
    """Remembers the events, and calls a function after a number of finished rows."""

    def __init__(self, at: int = -1, act: Callable[[], object] = lambda: None) -> None:
        self.events: list[BackfillProgress] = []
        self.at, self.act = at, act

    def backfill_progressed(self, progress: BackfillProgress) -> None:
        """Remember it."""
        self.events.append(progress)
        if progress.done >= self.at >= 0:
            self.at = -1
            self.act()


@pytest.fixture
def filled(service: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    """Four tenants with rows, and a pending backfill with chunks of 100 keys."""
    monkeypatch.setattr("my_service.migrate.backfilling.LARGEST_SIZE", 100)
    # A slow machine does not make them smaller.
    monkeypatch.setattr("my_service.migrate.backfilling.AIM_SECONDS", 1000.0)
    service.config = replace(service.config, backfill_pause=0.0, table_lock_retries=0)
    monkeypatch.setattr(migrations, "config", service.config)
    service.add(TABLE, NO_TABLE)
    service.make(*NAMES)
    for name in NAMES:
        rows(service, name)
    service.add("pass", extra=FILL)
    return service


def rows(service: Service, tenant: str, count: int = ROWS) -> None:
    """Rows from 1 to this number; the n of each is its id."""
    service.ask(f"INSERT INTO tenant_{tenant}.t SELECT x, x FROM generate_series(1, {count}) x")


def rows_by_updates(service: Service, tenant: str) -> dict[int, int]:
    """The number of a tenant's rows by number of updates."""
    return dict(service.ask(f"SELECT n - id, count(*) FROM tenant_{tenant}.t GROUP BY 1"))


def each_once(service: Service, *tenants: str) -> None:
    """Every row was updated, and none twice."""
    found = {tenant: rows_by_updates(service, tenant) for tenant in tenants}
    assert found == {tenant: {1: ROWS} for tenant in tenants}


def test_a_run_over_all_tenants_and_a_new_tenant_import_each_file_once(filled: Service) -> None:
    filled.add("pass", extra=CONTRACT)
    filled.config = replace(filled.config, verify="after")
    once = {path.stem: 1 for path in filled.versions.glob("*.py")}
    imported = count_imports(filled.patch)
    run = filled.all()
    assert run.success and run.public.migrations == ("004_change", "005_change")
    assert imported == once
    imported.clear()
    assert filled.one("e").success
    assert imported == once
    imported.clear()
    assert rollback_tenant(filled.engine, "e", config=filled.config).success
    assert imported == once


def test_tenants_are_filled_in_turn_with_one_total_and_then_the_contract_runs(
    filled: Service,
) -> None:
    filled.add("pass", extra=CONTRACT)
    observer, replayed = ProgressRecorder(), replays(filled)
    filled.config = replace(filled.config, observer=observer)
    run = filled.all()
    assert run.success and run.public.migrations == ("004_change", "005_change")
    assert [one.migrations for one in run.tenants] == [("004_change", "005_change")] * 4
    assert len(replayed) == 4  # two tenants, twice
    each_once(filled, *NAMES)
    assert set(filled.statuses().values()) == {("ready", "005")}
    counted = [one for one in observer.events if one.total is None]
    assert len(counted) == 3 and {one.done for one in counted} == {0}
    assert {one.total for one in observer.events[3:]} == {ROWS * 4}
    done = [one.done for one in observer.events[3:]]
    assert done == sorted(done) and done[-1] == ROWS * 4
    assert [one.tenants_left for one in observer.events[3:]] == [
        4,
        4,
        4,
        3,
        3,
        3,
        2,
        2,
        2,
        1,
        1,
        1,
        0,
    ]
    assert [one.finished for one in observer.events] == [False] * 15 + [True]
    assert get_migration_status(filled.engine, config=filled.config).backfills == ()


def test_status_shows_the_total_and_the_contract_waits_for_it(filled: Service) -> None:
    filled.add("pass", extra=CONTRACT)
    later = replace(filled.config, runs_backfills=False)
    filled.config, config = later, filled.config
    run = filled.all()
    assert run.public.held_back == ("005_change",)
    assert filled.all().public.held_by == ("the backfill of t in 4 tenants, which has not begun",)
    steps = iter([False] * 8 + [True] * 9)
    run_backfills(filled.engine, config=config, stopped=lambda: next(steps))
    assert filled.all().public.held_back == ("005_change",)
    assert set(filled.statuses().values()) == {("ready", "004")}
    line = "004_change: the backfill of t in 4 tenants: 350 of 1000 rows, 3 tenants left; "
    assert line in filled.command("migrate status")[1]
    (printed,) = json.loads(filled.command("migrate status --json")[1])["backfills"]
    assert (printed["done"], printed["total"], printed["left"] > 0) == (350, 1000, True)
    filled.config = config
    assert filled.all().public.migrations == ("005_change",)
    each_once(filled, *NAMES)


def test_after_a_kill_before_any_statement_each_row_is_updated_once(
    filled: Service,
) -> None:
    filled.config = replace(filled.config, runs_backfills=False)
    filled.all()
    statement = 1
    for _ in range(1000):
        if not get_migration_status(filled.engine, config=filled.config).backfills:
            break
        filled.engine.dispose()  # forked processes must not use this process's connections
        # It also ends at once if the server has not noticed yet that the previous one is dead.
        if dies_at(statement, lambda: run_backfills(filled.engine, config=filled.config)):
            statement += 3
        for tenant in NAMES:
            assert set(rows_by_updates(filled, tenant)) <= {0, 1}
    assert statement > 1
    each_once(filled, *NAMES)


def test_a_failed_chunk_names_tenant_and_keys_and_other_tenants_continue(
    filled: Service,
) -> None:
    for tenant in ("a", "c"):
        filled.ask(f"UPDATE tenant_{tenant}.t SET n = 9998 WHERE id = 150")
    filled.add("pass", extra=CONTRACT)
    run = filled.all()
    error = run.public.error
    assert error is not None and error.code == "backfill-failed"
    failed = "004_change of tenant a: the chunk of t with id above 100 and up to 200 failed: "
    assert error.problem.startswith(failed)
    assert error.problem.endswith(" It also failed in 1 other tenant.")
    each_once(filled, "b", "d")
    assert rows_by_updates(filled, "c")[1] == 100
    (backfill,) = get_migration_status(filled.engine, config=filled.config).backfills
    assert (backfill.done, backfill.tenants_left) == (700, 2)
    assert (backfill.error or "").startswith("a: IntegrityError: ")
    assert set(filled.statuses().values()) == {("ready", "004")}
    for tenant in ("a", "c"):
        filled.ask(f"UPDATE tenant_{tenant}.t SET n = id WHERE id = 150")
    assert filled.all().success
    each_once(filled, *NAMES)
    assert set(filled.statuses().values()) == {("ready", "005")}


def test_tenants_can_be_dropped_and_created_during_a_backfill(filled: Service) -> None:
    def drop_and_make() -> None:
        drop_tenant(filled.engine, "b", config=quiet)
        drop_tenant(filled.engine, "d", config=quiet)
        assert filled.one("late").success
        assert filled.one("d").success

    quiet = filled.config
    filled.config = replace(quiet, observer=(observer := ProgressRecorder(100, drop_and_make)))
    filled.add("pass", extra=CONTRACT)
    run = filled.all()
    assert run.success, run.public.error
    each_once(filled, "a", "c")
    assert observer.events[-1].finished
    assert filled.statuses() == dict.fromkeys(("a", "c", "d", "late"), ("ready", "005"))


def test_a_service_starts_and_migrates_during_a_backfill(filled: Service) -> None:
    def start() -> None:
        assert get_lock_holder(filled.engine) is None
        bring_up_to_date(filled.engine, replace(quiet, runs_backfills=False, lock_timeout=0))

    quiet = filled.config
    filled.config = replace(quiet, observer=ProgressRecorder(100, start))
    assert filled.all().success
    each_once(filled, *NAMES)


def test_creating_a_tenant_runs_its_backfills(filled: Service) -> None:
    insert = 'op.execute("INSERT INTO t VALUES (1007, 1007)")'
    filled.add(insert)
    filled.add("pass", extra=FILL.replace("n + 1", "n + 10"))
    filled.add("pass", extra=CONTRACT)
    assert filled.all().success
    assert filled.one("late").success
    assert filled.ask("SELECT n FROM tenant_late.t") == [(1017,)]
    filled.register("x", "y", "z")
    replayed = replays(filled)
    assert filled.all().success
    assert len(replayed) == 1
    assert filled.ask("SELECT n FROM tenant_z.t") == [(1017,)]
    assert set(filled.statuses().values()) == {("ready", "007")}
    assert get_migration_status(filled.engine, config=filled.config).backfills == ()


def test_a_rollback_removes_the_progress_of_a_backfill(filled: Service) -> None:
    assert filled.all().success
    rollback_tenant(filled.engine, "a", config=filled.config).raise_for_error()
    assert filled.all().success
    assert rows_by_updates(filled, "a") == {2: ROWS}
    each_once(filled, "b", "c", "d")
    assert rollback_all_tenants(filled.engine, config=filled.config).success
    assert filled.ask("SELECT * FROM public.migration_progress") == []
    assert filled.all().success
    assert rows_by_updates(filled, "d") == {2: ROWS}


def test_a_rollback_waits_for_the_running_chunk_before_it_locks_a_table(
    filled: Service,
) -> None:
    down = 'op.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")'
    filled.add("pass", down, extra=FILL)
    filled.all()
    undone: list[bool] = []
    undo = threading.Thread(
        target=lambda: undone.append(
            rollback_all_tenants(
                filled.engine, config=replace(filled.config, table_lock_timeout=60)
            ).success
        )
    )
    waits = "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
    with filled.engine.connect() as chunk:
        chunk.exec_driver_sql(
            "SELECT 1 FROM public.migration_progress WHERE tenant = 'a' FOR UPDATE"
        )
        undo.start()
        wait_until(lambda: filled.ask(waits), seconds=60)
        chunk.exec_driver_sql("UPDATE tenant_a.t SET n = n + 0")
        chunk.commit()
    undo.join(60)
    assert undone == [True]


def test_a_tenant_that_was_behind_is_filled_before_its_contract(filled: Service) -> None:
    filled.ask("ALTER TABLE tenant_a.t RENAME TO u")  # so that the next one fails there
    filled.add('op.execute("ALTER TABLE t ADD COLUMN m int")')
    filled.add("pass", extra=FILL.replace('"n": "n + 1"', '"m": "n"'))
    lost = 'op.execute("ALTER TABLE t ALTER COLUMN m SET NOT NULL")'
    filled.add(lost, extra=CONTRACT)
    run = filled.all()
    assert [one.tenant for one in run.failed] == ["a"]
    assert filled.statuses()["b"] == ("ready", "007")
    filled.ask("ALTER TABLE tenant_a.u RENAME TO t")
    # A start stops before its contract; a running replica fills it in and migrates it.
    bring_up_to_date(filled.engine, replace(filled.config, runs_backfills=False))
    assert filled.statuses()["a"][1] == "006"
    assert fill_tenants(filled.engine, config=filled.config) is not None
    assert filled.statuses()["a"] == ("ready", "007")
    each_once(filled, "a")
    assert filled.ask("SELECT count(*) FROM tenant_a.t WHERE m = n") == [(ROWS,)]


def test_the_contract_waits_for_tenants_without_the_backfill_migration(
    filled: Service,
) -> None:
    assert filled.all().success
    filled.add("pass", extra=CONTRACT)
    rollback_tenant(filled.engine, "a", config=filled.config).raise_for_error()
    status = get_migration_status(filled.engine, config=filled.config)
    assert status.held_by == ("1 tenant without 004_change",)
    filled.ask("UPDATE public.tenants SET status = 'failed' WHERE id = 'a'")
    assert get_migration_status(filled.engine, config=filled.config).held_back == ()


def test_with_roles_a_backfill_runs_with_the_role_of_the_tenant(service: Service) -> None:
    service.ordinary_user()
    service.roles()
    service.config = replace(service.config, backfill_pause=0.0)
    service.add(TABLE, NO_TABLE)
    service.make("a", "b", "c")
    expression = "n + CASE current_user WHEN 'tenant_b' THEN 10 ELSE 1 END"
    service.add("pass", extra=FILL.replace("n + 1", expression))
    for name in ("a", "b", "c"):
        as_role(service, name, "INSERT INTO t VALUES (1, 1) RETURNING n")
    run = service.all()
    assert run.success, (run.public.error, run.failed)
    assert [as_role(service, name, "SELECT n FROM t") for name in "abc"] == [2, 11, 2]


def as_role(service: Service, tenant: str, statement: str) -> object:
    """The result of a statement in a tenant's schema, run by its role."""
    with service.engine.begin() as connection:
        connection.exec_driver_sql(f"SET LOCAL ROLE tenant_{tenant}")
        connection.exec_driver_sql(f"SET LOCAL search_path TO tenant_{tenant}")
        return connection.exec_driver_sql(statement).scalar()


def test_a_replica_runs_a_backfill_in_the_background(filled: Service) -> None:
    filled.config = replace(filled.config, runs_backfills=False)
    filled.add("pass", extra=CONTRACT)
    assert filled.all().public.held_back == ("005_change",)
    settings = Settings(
        _env_file=None,
        environment="development",
        database_url=filled.engine.url.render_as_string(hide_password=False),
        auto_contract=True,
        auto_contract_interval=0.05,
    )
    replica = Replica(filled.engine, settings)
    try:
        wait_until(lambda: set(filled.statuses().values()) == {("ready", "005")}, seconds=60)
    finally:
        replica.close()
    each_once(filled, *NAMES)


def test_an_old_instance_holds_the_contract_back_for_all_tenants(
    filled: Service, tmp_path: Path
) -> None:
    old = Registration(filled.engine, filled.config)
    old.register()
    filled.add("pass", extra=CONTRACT)
    run = filled.all()
    assert run.success and run.public.held_back == ("005_change",)
    each_once(filled, *NAMES)
    assert set(filled.statuses().values()) == {("ready", "004")}
    old.remove()
    assert filled.all().success
    assert set(filled.statuses().values()) == {("ready", "005")}


def test_a_restored_tenant_gets_the_backfill_progress_of_its_backup(
    filled: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACKUP_DIRECTORY", str(tmp_path / "backups"))
    config = filled.config
    filled.config = replace(config, runs_backfills=False)
    filled.all()
    steps = iter([False] * 6 + [True] * 9)
    run_backfills(filled.engine, config=config, stopped=lambda: next(steps))
    assert rows_by_updates(filled, "a") == {1: 200, 0: 50}
    name = json.loads(filled.command("backup create --json")[1])["name"]
    filled.config = config
    assert filled.all().success
    drop_tenant(filled.engine, "b", config=config)
    for tenant in ("a", "b"):
        code, _, err = filled.command(f"backup restore {name} --tenant {tenant} --yes")
        assert code == 0, err
    assert rows_by_updates(filled, "a") == {1: 200, 0: 50}
    assert filled.all().success
    each_once(filled, *NAMES)


def test_make_writes_a_backfill_example_that_runs(filled: Service) -> None:
    assert filled.all().success
    code, _, err = filled.command("migrate make fill --phase backfill")
    assert code == 0, err
    (made,) = filled.versions.glob("*_fill.py")
    assert "backfill = Backfill(" in made.read_text()
    run = filled.all()
    assert run.success, run.public.error
    assert run.public.migrations == (made.stem,)
