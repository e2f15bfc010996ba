"""A contract runs only when every live instance has its file."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from my_service import migrations
from my_service.errors import ActionableError
from my_service.migrate import (
    Instance,
    MigrationConfig,
    Registration,
    get_instances,
    get_migration_status,
    rollback_migrations,
    run_migrations,
)
from my_service.migrate.backends.common import MigrationLock
from my_service.migrate.events import Observer
from my_service.migrate.lock import migration_lock
from my_service.migrate.rolling import gate, instances
from my_service.migrations.target import can_serve
from my_service.replica import Replica
from my_service.settings import Settings

from engine.pooler import pgbouncer
from engine.support import KIND, Command, Database, Folder, create, finish, start, wait_until

CONTRACT = 'phase = "contract"\n'
SECOND = "datetime('now', '-{} seconds')" if KIND == "sqlite" else "now() - interval '{} seconds'"


def release(folder: Folder, name: str, *, without: int = 0) -> MigrationConfig:
    """A release with the files of the folder, without the last ones."""
    path = folder.path.with_name(name)
    (path / "versions").mkdir(parents=True)
    files = sorted(folder.versions.glob("*.py"))
    for file in files[: len(files) - without]:
        (path / "versions" / file.name).write_bytes(file.read_bytes())
    return replace(folder.config(load_release=lambda: name), directory=path)


def expand_and_contract(folder: Folder) -> None:
    """Three files: two add something, one removes something."""
    folder.tables("a", "b")
    folder.add("drop_a", 'op.drop_table("a")', create("a"), extra=CONTRACT)


def age(database: Database, registration: Registration, seconds: float) -> None:
    """Make an instance's last beat this old."""
    moment = SECOND.format(seconds)
    database.ask(f"UPDATE service_instances SET beat_at = {moment} WHERE id = '{registration.id}'")


def test_a_contract_waits_for_an_instance_that_lacks_it_and_names_it(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    expand_and_contract(folder)
    folder.tables("after")
    old, new = release(folder, "1.0", without=2), release(folder, "2.0")
    Registration(engine, old).register()
    result = run_migrations(engine, config=new).raise_for_error()
    assert result.migrations == ("001_a", "002_b")
    assert result.held_back == ("003_drop_a", "004_after")
    (by,) = result.held_by
    assert "version 1.0, revision 002" in by
    assert database.tables() - {"service_instances"} == {"a", "b"}
    status = get_migration_status(engine, config=new)
    assert (status.pending, status.held_back) == ((), ("003_drop_a", "004_after"))
    assert status.held_by == result.held_by


def test_a_held_back_migration_affects_readiness_only_if_it_adds_something(
    engine: sa.Engine, folder: Folder
) -> None:
    expand_and_contract(folder)
    Registration(engine, release(folder, "1.0", without=1)).register()
    new = release(folder, "2.0")
    run_migrations(engine, config=new).raise_for_error()
    assert can_serve(engine, new) == (True, None)
    folder.tables("after")
    assert can_serve(engine, release(folder, "3.0"))[0] is False


@pytest.mark.parametrize("end", ["removed", "silent"])
def test_a_contract_runs_when_the_last_old_instance_is_gone(
    engine: sa.Engine, folder: Folder, database: Database, end: str
) -> None:
    expand_and_contract(folder)
    new = release(folder, "2.0")
    old = Registration(engine, release(folder, "1.0", without=1))
    for registration in (old, Registration(engine, new)):
        registration.register()
    assert run_migrations(engine, config=new).held_back
    if end == "removed":
        old.remove()
    else:
        age(database, old, 50)
        assert run_migrations(engine, config=new).held_back
        age(database, old, 61)
    result = run_migrations(engine, config=new).raise_for_error()
    assert (result.migrations, result.held_back) == (("003_drop_a",), ())
    assert [instance.version for instance in get_instances(engine, config=new)] == ["2.0"]


def test_an_instance_that_resumes_after_the_contract_is_refused(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    expand_and_contract(folder)
    new = release(folder, "2.0")
    old = Registration(engine, release(folder, "1.0", without=1))
    old.register()
    age(database, old, 100)
    assert old.beat()  # it wakes up in time, and counts again
    assert run_migrations(engine, config=new).held_back
    age(database, old, 100)
    assert not run_migrations(engine, config=new).held_back
    assert not old.beat()
    with pytest.raises(ActionableError) as refused:
        old.register()
    assert refused.value.code == "contract-unknown"
    assert get_instances(engine, config=new) == []


def test_a_stale_instance_that_beats_before_its_removal_stays_registered(
    engine: sa.Engine, folder: Folder, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.tables("a")
    one = Registration(engine, folder.config())
    one.register()
    age(database, one, 100)

    def read_and_wake(engine: sa.Engine, *, config: MigrationConfig) -> list[Instance]:
        found = get_instances(engine, config=config)
        assert one.beat()
        return found

    monkeypatch.setattr(instances, "get_instances", read_and_wake)
    instances.remove_gone(engine, folder.config())
    assert one.beat()


def test_an_instance_removes_only_its_own_registration(engine: sa.Engine, folder: Folder) -> None:
    folder.tables("a")
    one, other = (Registration(engine, folder.config()) for _ in range(2))
    one.register()
    other.register()
    one.remove()
    assert [instance.id for instance in get_instances(engine, config=folder.config())] == [other.id]


def test_an_instance_with_unknown_files_holds_a_contract_back(
    engine: sa.Engine, folder: Folder
) -> None:
    folder.tables("a", "b")
    elsewhere = release(folder, "elsewhere")
    (elsewhere.versions / "002_b.py").rename(elsewhere.versions / "900_b.py")
    file = elsewhere.versions / "900_b.py"
    file.write_text(file.read_text().replace("revision = '002'", "revision = '900'"))
    Registration(engine, elsewhere).register()
    folder.add("drop_a", 'op.drop_table("a")', extra=CONTRACT)
    assert run_migrations(engine, config=folder.config()).held_back == ("003_drop_a",)


def test_an_instance_of_another_service_does_not_hold_a_contract_back(
    engine: sa.Engine, folder: Folder
) -> None:
    expand_and_contract(folder)
    other = release(folder, "1.0", without=1)
    Registration(engine, replace(other, service="other")).register()
    assert run_migrations(engine, config=folder.config()).held_back == ()


def test_migrate_contract_waits_for_old_instances_or_is_refused(
    engine: sa.Engine, folder: Folder, database: Database, command: Command
) -> None:
    expand_and_contract(folder)
    old = Registration(engine, release(folder, "1.0", without=1))
    old.register()
    code, out, _ = command("migrate latest")
    assert code == 0
    assert out.startswith("Batch 1 run: 2 migrations\nHeld back: 003_drop_a, by the instance on ")
    assert json.loads(command("migrate latest --json")[1])["held_back"] == ["003_drop_a"]
    assert "003_drop_a\t\t\t\theld back (contract)" in command("migrate list")[1]
    assert "Held back: 003_drop_a, by " in command("migrate status")[1]
    assert json.loads(command("migrate status --json")[1])["held_back"] == ["003_drop_a"]
    code, out, err = command("migrate contract --wait 0.6")
    assert (code, out) == (1, "")
    assert err.startswith("Problem:  003_drop_a is held back by the instance on ")
    waiting = start(database, folder, "contract", "--wait", "60")
    time.sleep(0.5)
    old.remove()
    assert finish(waiting)[:2] == (0, "Batch 2 run: 1 migration\n")


def test_force_runs_a_contract_despite_an_instance_that_lacks_it(
    engine: sa.Engine, folder: Folder, command: Command, database: Database
) -> None:
    expand_and_contract(folder)
    old = release(folder, "1.0", without=1)
    Registration(engine, old).register()
    assert command("migrate contract --force")[:2] == (0, "Batch 1 run: 3 migrations\n")
    assert can_serve(engine, old)[0] is False


def test_an_older_release_can_register_after_the_contract_is_rolled_back(
    engine: sa.Engine, folder: Folder
) -> None:
    expand_and_contract(folder)
    old = release(folder, "1.0", without=1)
    for _ in range(2):
        run_migrations(engine, config=folder.config()).raise_for_error()
        with pytest.raises(ActionableError, match="does not have 1 applied contract"):
            Registration(engine, old).register()
        rollback_migrations(engine, config=folder.config()).raise_for_error()
    Registration(engine, old).register()


@pytest.mark.parametrize("extra", ["", "transaction = False\n"])
def test_no_instance_registers_while_a_contract_runs(
    engine: sa.Engine, folder: Folder, database: Database, extra: str
) -> None:
    folder.tables("a", "b")
    old = release(folder, "1.0")
    folder.add("slow", ["from engine.support import gate", "gate.began.set()",
                        "assert gate.open.wait(30)"], extra=CONTRACT + extra)  # fmt: skip
    from engine.support import gate as turnstile

    turnstile.began.clear()
    turnstile.open.clear()
    running = threading.Thread(
        target=run_migrations, args=(engine,), kwargs={"config": folder.config()}
    )
    running.start()
    assert turnstile.began.wait(30)
    with pytest.raises(ActionableError) as refused:
        Registration(database.engine(), replace(old, lock_timeout=0.3)).register()
    assert refused.value.code == "lock-timeout"
    turnstile.open.set()
    running.join(30)
    with pytest.raises(ActionableError) as refused:
        Registration(engine, old).register()
    assert refused.value.code == "contract-unknown"


@pytest.mark.skipif(KIND != "postgresql", reason="elsewhere it takes the migrators' lock")
def test_registering_does_not_wait_for_other_migrations(engine: sa.Engine, folder: Folder) -> None:
    folder.tables("a")
    with migration_lock(engine, 5):
        Registration(engine, folder.config(lock_timeout=0)).register()


@pytest.mark.skipif(KIND != "postgresql", reason="this is PostgreSQL's")
def test_the_gate_works_through_a_pooler(
    database: Database, folder: Folder, tmp_path: Path
) -> None:
    expand_and_contract(folder)
    new = release(folder, "2.0")
    with pgbouncer(database.address, tmp_path) as behind:
        engine = Database(behind).engine()
        old = Registration(engine, release(folder, "1.0", without=1))
        old.register()
        assert run_migrations(engine, config=new).held_back == ("003_drop_a",)
        assert old.beat()
        old.remove()
        assert run_migrations(engine, config=new).raise_for_error().migrations == ("003_drop_a",)
        with pytest.raises(ActionableError):
            old.register()
        engine.dispose()


def test_an_instance_that_registers_just_before_the_lock_holds_the_contract_back(
    engine: sa.Engine, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    expand_and_contract(folder)
    old = Registration(engine, release(folder, "1.0", without=1))
    close = gate._close_to_newcomers

    def come_late(lock: MigrationLock) -> bool:
        if KIND == "postgresql":  # on SQLite the migrators' lock prevents it already
            old.register()
        return close(lock)

    monkeypatch.setattr(gate, "_close_to_newcomers", come_late)
    result = run_migrations(engine, config=folder.config()).raise_for_error()
    assert bool(result.held_back) is (KIND == "postgresql")


def test_a_contract_does_not_run_while_an_instance_registers(
    engine: sa.Engine, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    expand_and_contract(folder)
    monkeypatch.setattr(gate, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr("my_service.migrate.backends.backend.Lock.close_gate", lambda _: False)
    result = run_migrations(engine, config=folder.config()).raise_for_error()
    assert (result.held_back, result.held_by) == (("003_drop_a",), (gate.REGISTERING,))


def test_a_running_replica_applies_a_contract_after_the_last_old_one_ends(
    engine: sa.Engine, folder: Folder, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    expand_and_contract(folder)
    old = Registration(engine, release(folder, "1.0", without=1))
    old.register()
    run_migrations(engine, config=folder.config()).raise_for_error()
    monkeypatch.setattr(migrations, "config", folder.config())
    replica = Replica(engine, in_production(database, auto_contract_interval=0.05))
    try:
        old.remove()
        wait_until(lambda: database.heads() == {"003"}, seconds=60)
    finally:
        replica.close()


def test_replicas_apply_contracts_by_default_in_production_with_auto_migrate(
    database: Database,
) -> None:
    assert in_production(database).runs_contracts
    assert not in_production(database, auto_migrate=False).runs_contracts
    assert not in_production(database, auto_contract=False).runs_contracts
    elsewhere = Settings(environment="development", database_url=database.address)
    assert not elsewhere.runs_contracts


def in_production(database: Database, **values: Any) -> Settings:
    """Settings of production."""
    secret = "vX9-2mQp7Lr_4TzKd8WbYs6NcHfJg3Ra"
    return Settings(
        _env_file=None,
        environment="production",
        database_url=database.address,
        jwt_secret=secret,
        **values,
    )


class Began(Observer):
    """Reports that a migration has begun."""

    def __init__(self) -> None:
        self.began = threading.Event()

    def migration_started(self, name: str, *, is_upgrade: bool) -> None:
        """Now no new instance can register."""
        self.began.set()


def test_parallel_starts_and_contracts_leave_no_old_instance_on_a_new_schema(
    database: Database, folder: Folder
) -> None:
    expand_and_contract(folder)
    old, new = release(folder, "1.0", without=1), release(folder, "2.0")
    first = database.engine()
    run_migrations(first, config=old).raise_for_error()
    engines = [database.engine() for _ in range(4)]
    ends: list[bool] = []
    for attempt in range(10):
        ready, observer = threading.Barrier(4), Began()
        registered: list[bool] = []

        def begin(
            engine: sa.Engine,
            ready: threading.Barrier = ready,
            registered: list[bool] = registered,
            comes_late: threading.Event | None = observer.began if attempt % 2 else None,
        ) -> None:
            registration = Registration(engine, old)
            ready.wait()
            if comes_late is not None:
                assert comes_late.wait(30)
            try:
                registration.register()
                registered.append(True)
            except ActionableError as error:
                assert error.code == "contract-unknown", error
                registered.append(False)

        def contract(
            engine: sa.Engine, ready: threading.Barrier = ready, observer: Began = observer
        ) -> None:
            ready.wait()
            run_migrations(engine, config=replace(new, observer=observer)).raise_for_error()

        acts: list[Callable[[sa.Engine], None]] = [begin, begin, begin, contract]
        threads = [
            threading.Thread(target=act, args=(e,)) for act, e in zip(acts, engines, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(registered) == 3
        is_applied = not get_migration_status(first, config=new).held_back
        # An instance has registered, so the contract has not run.
        assert is_applied != any(registered), (attempt, registered)
        assert is_applied or attempt % 2 == 0
        ends.append(is_applied)
        database.ask("DELETE FROM service_instances")
        if is_applied:
            rollback_migrations(first, config=new).raise_for_error()
    assert any(ends)
