"""Many processes at once, and processes that are killed at any moment."""

from __future__ import annotations

import os
import random
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from my_service.migrate import (
    get_lock_holder,
    get_migration_status,
    rollback_migrations,
    run_migrations,
    unlock,
)
from processes import Process

from engine.pooler import pgbouncer
from engine.support import KIND, Database, Folder, create, finish, migrate, start, wait_until

CRASHES = int(os.environ.get("ENGINE_CRASHES", "8"))
only_postgresql = pytest.mark.skipif(KIND != "postgresql", reason="this is PostgreSQL's")

SLEEP = ["import time", "time.sleep(600)"]


def race(database: Database, folder: Folder) -> list[str]:
    """Run eight processes at once; all must exit 0. Return their outputs, sorted."""
    ended = [finish(each) for each in [start(database, folder, "latest") for _ in range(8)]]
    assert [code for code, _, _ in ended] == [0] * 8, [err for _, _, err in ended]
    return sorted(out for _, out, _ in ended)


def test_eight_processes_on_an_empty_database_run_each_migration_once(
    database: Database, folder: Folder
) -> None:
    folder.tables("a", "b", "c")
    outputs = race(database, folder)
    assert outputs == ["Already up to date\n"] * 7 + ["Batch 1 run: 3 migrations\n"]
    assert [row[:2] for row in database.history()] == [(1, 1)] * 3


def concurrent_index(folder: Folder) -> None:
    """Write a migration that builds an index outside a transaction."""
    folder.add(
        "index",
        f'op.create_index("a_idx", "a", ["id"], postgresql_concurrently={KIND == "postgresql"})',
        extra="transaction = False\n",
    )


def test_eight_processes_build_a_concurrent_index_once(database: Database, folder: Folder) -> None:
    folder.tables("a")
    concurrent_index(folder)
    folder.tables("b")
    outputs = race(database, folder)
    assert outputs == ["Already up to date\n"] * 7 + ["Batch 1 run: 3 migrations\n"]
    assert [row[:2] for row in database.history()] == [(1, 1)] * 3


@pytest.fixture
def slow(database: Database, folder: Folder, engine: sa.Engine) -> Iterator[Process]:
    """A process that holds the lock for long."""
    folder.tables("a")
    folder.add("slow", SLEEP)
    process = start(database, folder, "latest")
    wait_until(lambda: get_lock_holder(engine))
    yield process
    process.kill()
    finish(process)


def test_a_waiting_process_names_the_lock_holder_and_times_out(
    slow: Process, database: Database, folder: Folder
) -> None:
    code, out, err = finish(start(database, folder, "latest", MIGRATION_LOCK_TIMEOUT="0.5"))
    assert (code, out) == (1, "")
    holder = rf"migrate on {re.escape(socket.gethostname())} pid {slow.pid} \(process \d+\)"
    holder += r" since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    waiting, problem, _, solution = err.splitlines()
    assert re.fullmatch(f"Waiting for another migrator: {holder}", waiting)
    assert re.search(f"Another migrator held the lock for 0.5 seconds: {holder}", problem)
    assert "MIGRATION_LOCK_TIMEOUT" in solution


def test_a_waiting_process_continues_when_the_lock_holder_is_killed(
    slow: Process, database: Database, folder: Folder
) -> None:
    waiting = start(database, folder, "up")
    assert f"pid {slow.pid}" in waiting.first_error_line()
    slow.kill()
    code, out, _ = finish(waiting)
    assert (code, out) == (0, "Batch 1 run: 1 migration\n")
    assert database.tables() == {"a"}


@only_postgresql
def test_unlock_shows_the_holder_and_with_force_ends_its_session(
    slow: Process, database: Database, folder: Folder, engine: sa.Engine
) -> None:
    assert migrate(database, folder, "unlock").startswith("Held by migrate on ")
    assert migrate(database, folder, "unlock", "--force").startswith("Ended migrate on ")
    wait_until(lambda: get_lock_holder(engine) is None)
    assert (get_lock_holder(engine), unlock(engine)) == (None, None)
    folder.file("002_slow").write_text(folder.file("002_slow").read_text().replace("600", "0"))
    # The process's transaction is undone although it still sleeps, so nothing is locked.
    config = folder.config(lock_timeout=1, table_lock_timeout=1, table_lock_retries=0)
    assert run_migrations(engine, config=config).raise_for_error().batch == 1


@only_postgresql
def test_unlock_with_force_ends_a_migration_outside_a_transaction(
    database: Database, folder: Folder, engine: sa.Engine
) -> None:
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    folder.add("slow", 'op.execute("SELECT pg_sleep(600)")', extra="transaction = False\n")
    process = start(database, folder, "latest")
    wait_until(lambda: database.ask(asleep) == [(1,)])
    migrate(database, folder, "unlock", "--force")
    assert database.ask(asleep) == [(0,)]
    assert finish(process)[0] == 1
    folder.file("001_slow").write_text(folder.file("001_slow").read_text().replace("600", "0"))
    assert run_migrations(engine, config=folder.config()).raise_for_error().batch == 1


@only_postgresql
def test_another_role_can_read_the_name_of_the_lock_holder(
    slow: Process, database: Database
) -> None:
    database.ask("DROP ROLE IF EXISTS stranger")
    database.ask("CREATE ROLE stranger LOGIN")
    stranger = sa.make_url(database.address).set(username="stranger")
    engine = sa.create_engine(stranger, poolclass=sa.NullPool)
    holder = get_lock_holder(engine)
    assert holder is not None
    assert (f"pid {slow.pid}" in holder.name, holder.since) == (True, None)
    assert str(holder).endswith(f"(process {holder.process})")


def test_after_kill_9_at_any_moment_schema_and_history_agree(
    database: Database, folder: Folder, engine: sa.Engine
) -> None:
    chance = random.Random(3)
    folder.tables("a", "b")
    folder.add("alone", create("c"), 'op.drop_table("c")', extra="transaction = False\n")
    folder.tables("d", "e")
    config = folder.config()
    began = time.monotonic()
    migrate(database, folder, "latest")
    whole = time.monotonic() - began
    tables = {f"00{place}_{name}": name for place, name in enumerate("ab", 1)}
    tables |= {"003_alone": "c", "004_d": "d", "005_e": "e"}
    for _ in range(CRASHES):
        done = get_migration_status(engine, config=config).completed
        words = ("rollback", "--all") if len(done) == 5 else ("latest",)
        process = start(database, folder, *words)
        time.sleep(chance.uniform(whole * 0.4, whole * 1.1))
        process.kill()
        finish(process)
        status = get_migration_status(engine, config=config)
        names = {migration.name for migration in status.completed}
        recorded = {name for _, _, name, applied in database.history() if applied}
        assert names == recorded
        assert database.heads() == ({max(names)[:3]} if names else set())
        # Outside a transaction a table may be one step ahead of the record.
        assert database.tables() - {"c"} == {tables[name] for name in names} - {"c"}
        if ("c" in database.tables()) != ("003_alone" in names):
            engine.dispose()
            database.ask("DROP TABLE IF EXISTS c")
            if "003_alone" in names:
                database.ask("CREATE TABLE c (id INTEGER PRIMARY KEY)")
    run_migrations(engine, config=config).raise_for_error()
    rollback_migrations(engine, everything=True, config=config).raise_for_error()
    assert database.tables() == set()


@pytest.fixture
def pooled(database: Database, tmp_path: Path) -> Iterator[Database]:
    """The database behind PgBouncer in transaction mode."""
    with pgbouncer(database.address, tmp_path) as address:
        yield Database(address)


@only_postgresql
def test_the_lock_works_through_pgbouncer_in_transaction_mode(
    pooled: Database, database: Database, folder: Folder
) -> None:
    folder.tables("a")
    concurrent_index(folder)
    folder.tables("b")
    assert race(pooled, folder) == ["Already up to date\n"] * 7 + ["Batch 1 run: 3 migrations\n"]
    assert [row[:2] for row in database.history()] == [(1, 1)] * 3
    folder.add("slow", SLEEP)
    holder = start(pooled, folder, "latest")
    engine = database.engine()
    wait_until(lambda: get_lock_holder(engine))
    waiting = start(pooled, folder, "rollback")
    assert f"pid {holder.pid}" in waiting.first_error_line()
    holder.kill()
    finish(holder)
    code, out, _ = finish(waiting)
    assert (code, out) == (0, "Batch 1 rolled back: 3 migrations\n")
    engine.dispose()
