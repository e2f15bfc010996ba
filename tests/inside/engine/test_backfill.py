"""A backfill updates a large table in chunks: each row once, even after kills, without blocking."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from my_service import migrations
from my_service.database.backend import connect
from my_service.migrate import (
    BackfillProgress,
    BackfillsResult,
    MigrationConfig,
    Observer,
    get_lock_holder,
    get_migration_status,
    migration_sql,
    rollback_migrations,
    run_backfills,
    run_migrations,
)
from my_service.migrations.progress import LogProgress
from my_service.replica import Replica
from my_service.settings import Settings
from structlog.testing import capture_logs

from engine.pooler import pgbouncer
from engine.shell import run_script
from engine.support import KIND, Command, Database, Folder, finish, migrate, start, wait_until

PHASE = 'phase = "backfill"\n'
ONE_MORE = 'Backfill(table="t", set={"n": "n + 1"})'
CONTRACT = 'phase = "contract"\n'
ROWS = 3000
QUICK = {"backfill_pause": 0.0, "table_lock_retries": 0}
# Chunks grow up to half a second of work: a small table would need only two or three.
SLOW = {"MIGRATION_BACKFILL_PAUSE": "0.02"}


def state(backfill: str) -> str:
    """The lines of a file that declare a backfill."""
    return f"from my_service.migrate import Backfill\n\n{PHASE}backfill = {backfill}\n"


def fill(database: Database, rows: int = ROWS, check: str = "") -> None:
    """Rows from 1 to this number; the n of each is its id."""
    database.ask(f"CREATE TABLE t (id INTEGER PRIMARY KEY NOT NULL, n INTEGER NOT NULL {check})")
    database.ask(
        f"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < {rows})"
        " INSERT INTO t SELECT x, x FROM c"
    )


@pytest.fixture
def table(database: Database, folder: Folder) -> Iterator[None]:
    """A table with rows, and a migration that adds one to each."""
    fill(database)
    folder.add("more", extra=state(ONE_MORE))
    yield


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 100 keys."""
    monkeypatch.setattr("my_service.migrate.backfilling.LARGEST_SIZE", 100)
    # A slow machine does not make them smaller.
    monkeypatch.setattr("my_service.migrate.backfilling.AIM_SECONDS", 1000.0)


def rows_by_updates(database: Database) -> dict[int, int]:
    """The number of rows by number of updates."""
    return dict(database.ask("SELECT n - id, count(*) FROM t GROUP BY 1"))


def done(database: Database) -> int:
    """Finished rows according to the database; 0 without a row of progress."""
    if "migration_progress" not in database.tables():
        return 0
    return sum(row[0] for row in database.ask("SELECT done FROM migration_progress"))


class ProgressRecorder(Observer):
    """Remembers the events."""

    def __init__(self) -> None:
        self.events: list[BackfillProgress] = []

    def backfill_progressed(self, progress: BackfillProgress) -> None:
        """Remember it."""
        self.events.append(progress)


@pytest.mark.usefixtures("table", "small_chunks")
def test_a_backfill_updates_every_row_once_in_chunks(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    observer = ProgressRecorder()
    config = folder.config(observer=observer, **QUICK)
    assert run_migrations(engine, config=config).raise_for_error().migrations == ("001_more",)
    assert rows_by_updates(database) == {1: ROWS}
    assert [one.done for one in observer.events] == [*range(0, ROWS + 1, 100), ROWS]
    assert (observer.events[-1].finished, observer.events[-1].total) == (True, ROWS)
    assert get_migration_status(engine, config=config).backfills == ()
    run_migrations(engine, config=config).raise_for_error()
    assert rows_by_updates(database) == {1: ROWS}


def test_only_rows_that_match_the_condition_are_updated_with_a_uuid_key(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    uuid = "CHAR(36)" if KIND == "sqlite" else "UUID"
    database.ask(f"CREATE TABLE u (key {uuid} PRIMARY KEY NOT NULL, a TEXT, b TEXT)")
    for place in range(250):
        value = "NULL" if place % 2 else "'kept'"
        database.ask(
            f"INSERT INTO u VALUES ('{place:08}-0000-0000-0000-000000000000', 'x', {value})"
        )
    backfill = 'Backfill(table="u", set={"b": "a || \':c\'"}, where="b IS NULL", key="key")'
    folder.add("copy", extra=state(backfill))
    run_migrations(engine, config=folder.config(**QUICK)).raise_for_error()
    assert sorted(database.ask("SELECT b, count(*) FROM u GROUP BY 1")) == [
        ("kept", 125),
        ("x:c", 125),
    ]


def test_after_kill_9_at_random_moments_each_row_is_updated_once(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    chance = random.Random(5)
    fill(database, 8_000)
    # Each process begins with small chunks and pauses between them: none gets far before it is
    # killed, even on a busy machine. A chunk is long enough to be hit by kills.
    slow = (
        "n + 1 + 0 * length(hex(zeroblob(20000)))"
        if KIND == "sqlite"
        else ("n + 1 + 0 * length(pg_sleep(0.00005)::text)")
    )
    folder.add("more", extra=state(f'Backfill(table="t", set={{"n": "{slow}"}})'))
    seen = [0]
    for _ in range(6):
        process = start(database, folder, "latest", MIGRATION_BACKFILL_PAUSE="0.25")
        wait_until(lambda: done(database) > seen[-1])
        time.sleep(chance.uniform(0, 0.4))
        process.kill()
        finish(process)
        seen.append(done(database))
        updated = rows_by_updates(database)
        assert set(updated) <= {0, 1}
        assert updated.get(1, 0) == seen[-1]
    assert seen[-1] < 8_000  # the kills came during the work
    migrate(database, folder, "latest")
    assert rows_by_updates(database) == {1: 8_000}


def _finished(database: Database) -> bool:
    return "migration_progress" in database.tables() and bool(
        database.ask("SELECT 1 FROM migration_progress WHERE finished_at IS NOT NULL")
    )


@pytest.mark.usefixtures("table")
def test_parallel_processes_update_no_row_twice(database: Database, folder: Folder) -> None:
    racing = [start(database, folder, "latest", **SLOW) for _ in range(4)]
    assert [finish(process)[0] for process in racing] == [0] * 4
    migrate(database, folder, "latest")
    assert rows_by_updates(database) == {1: ROWS}


@pytest.mark.usefixtures("table", "small_chunks")
def test_processes_without_the_lock_still_update_no_row_twice(
    database: Database, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = folder.config(backfill_pause=0.001)
    run_migrations(database.engine(), config=replace(config, runs_backfills=False))
    monkeypatch.setattr("my_service.migrate.backfilling.backend.Lock.acquire", lambda _: True)
    monkeypatch.setattr("my_service.migrate.backfilling.backend.Lock.verify", lambda _: None)
    engines = [database.engine() for _ in range(3)]
    threads = [threading.Thread(target=run_backfills, args=(one, config)) for one in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows_by_updates(database) == {1: ROWS}


@pytest.mark.usefixtures("table", "small_chunks")
def test_other_migrations_run_during_a_backfill(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    class Looks(ProgressRecorder):
        def backfill_progressed(self, progress: BackfillProgress) -> None:
            super().backfill_progressed(progress)
            if progress.done == 500:
                assert get_lock_holder(engine) is None
                folder.tables("another")
                other = replace(config, runs_backfills=False, lock_timeout=0.0, observer=Observer())
                run_migrations(database.engine(), config=other).raise_for_error()

    config = folder.config(**QUICK)
    run_migrations(engine, config=replace(config, observer=Looks())).raise_for_error()
    assert "another" in database.tables()
    assert rows_by_updates(database) == {1: ROWS}


@pytest.mark.usefixtures("small_chunks")
def test_a_failed_chunk_names_its_keys_and_the_backfill_can_continue(
    engine: sa.Engine, folder: Folder, database: Database, command: Command
) -> None:
    fill(database, check="CHECK (n <> 9999)")
    database.ask("UPDATE t SET n = 9998 WHERE id = 1050")
    folder.add("more", extra=state(ONE_MORE))
    folder.add("drop", extra=CONTRACT)
    result = run_migrations(engine, config=folder.config(**QUICK))
    assert (result.success, result.migrations) == (False, ("001_more",))
    assert result.error is not None
    assert result.error.code == "backfill-failed"
    failed = "001_more: the chunk of t with id above 1000 and up to 1100 failed: IntegrityError"
    assert result.error.problem.startswith(failed)
    assert "1000 rows updated before it stay" in result.error.impact
    (backfill,) = get_migration_status(engine, config=folder.config()).backfills
    assert (backfill.done, backfill.total) == (1000, ROWS)
    assert "check" in (backfill.error or "").lower()
    assert "001_more: the backfill of t: 1000 of 3000 rows; " in command("migrate status")[1]
    (printed,) = json.loads(command("migrate status --json")[1])["backfills"]
    assert (printed["done"], printed["total"], printed["rate"] > 0) == (1000, ROWS, True)
    assert run_migrations(engine, config=folder.config(**QUICK)).error is not None
    database.ask("UPDATE t SET n = 1050 WHERE id = 1050")
    result = run_migrations(engine, config=folder.config(**QUICK)).raise_for_error()
    assert result.migrations == ("002_drop",)
    assert done(database) == ROWS


class RetryCounter(Observer):
    """Counts retries."""

    def __init__(self) -> None:
        self.again: list[int] = []

    def retrying(self, retries_left: int) -> None:
        """Note how many retries are left."""
        self.again.append(retries_left)


@pytest.mark.usefixtures("table")
def test_a_chunk_retries_a_lock_as_often_as_the_settings_allow(
    database: Database, folder: Folder
) -> None:
    config = folder.config(backfill_pause=0.0, table_lock_timeout=0.1, table_lock_retries=1)
    run_migrations(database.engine(), config=replace(config, runs_backfills=False))
    with sa.create_engine(database.address, poolclass=sa.NullPool).connect() as other:
        other.exec_driver_sql("BEGIN IMMEDIATE" if KIND == "sqlite" else "LOCK TABLE t")
        tried = RetryCounter()
        waiting = replace(config, observer=tried)
        failed = run_migrations(engine_that_waits_briefly(database), config=waiting)
        other.rollback()
    assert failed.error is not None
    assert failed.error.code == "backfill-failed"
    assert tried.again == [1]
    run_migrations(database.engine(), config=config).raise_for_error()
    assert rows_by_updates(database) == {1: ROWS}


def engine_that_waits_briefly(database: Database) -> sa.Engine:
    """On SQLite, where the connection has the time limit, an engine with a short one."""
    if KIND != "sqlite":
        return database.engine()
    patience = {"timeout": 0.1}
    return sa.create_engine(database.address, poolclass=sa.NullPool, connect_args=patience)


@pytest.mark.usefixtures("table", "small_chunks")
def test_a_contract_waits_for_the_backfill_and_names_it(
    engine: sa.Engine, folder: Folder, database: Database, command: Command
) -> None:
    folder.add("drop", 'op.drop_table("t")', extra=CONTRACT)
    config = folder.config(**QUICK)
    no_chunks = replace(config, runs_backfills=False)
    result = run_migrations(engine, config=no_chunks).raise_for_error()
    assert (result.migrations, result.held_back) == (("001_more",), ("002_drop",))
    assert result.held_by == ("the backfill of t, which has not begun",)
    steps = iter([False] * 13 + [True])
    run_backfills(engine, config=config, stopped=lambda: next(steps))
    result = run_migrations(engine, config=replace(no_chunks, force_contracts=True))
    assert result.held_by == ("the backfill of t: 1200 of 3000 rows",)
    status = get_migration_status(engine, config=config)
    assert (status.held_back, status.held_by) == (("002_drop",), result.held_by)
    assert "held back (contract)" in command("migrate list")[1].lower()
    assert rows_by_updates(database) == {0: ROWS - 1200, 1: 1200}
    result = run_migrations(engine, config=config).raise_for_error()
    assert (result.migrations, result.held_back) == (("002_drop",), ())


def test_a_backfill_of_an_empty_table_is_finished_at_once(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("t")
    folder.add("more", extra=state(ONE_MORE))
    folder.add("drop", 'op.drop_table("t")', extra=CONTRACT)
    config = folder.config(runs_backfills=False)
    result = run_migrations(engine, config=config).raise_for_error()
    assert (result.migrations, result.held_back) == (("001_t", "002_more", "003_drop"), ())


@pytest.mark.usefixtures("table", "small_chunks")
def test_a_rollback_removes_the_progress_of_a_backfill(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    config = folder.config(**QUICK)
    run_migrations(engine, config=replace(config, runs_backfills=False)).raise_for_error()
    steps = iter([False] * 6 + [True])
    run_backfills(engine, config=config, stopped=lambda: next(steps))
    rollback_migrations(engine, config=config).raise_for_error()
    assert database.ask("SELECT * FROM migration_progress") == []
    assert run_backfills(engine, config=config) == BackfillsResult(success=True)
    run_migrations(engine, config=config).raise_for_error()
    assert rows_by_updates(database) == {2: 500, 1: ROWS - 500}


@pytest.mark.usefixtures("table")
def test_a_serving_replica_runs_the_backfill_and_logs_it(
    engine: sa.Engine, folder: Folder, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_migrations(engine, config=folder.config(runs_backfills=False))
    monkeypatch.setattr(migrations, "config", folder.config())
    settings = Settings(
        environment="development", database_url=database.address, auto_contract_interval=0.05
    )
    with capture_logs() as lines:
        replica = Replica(engine, settings)
        wait_until(lambda: _finished(database))
        wait_until(lambda: any(line["event"] == "001_more is finished" for line in lines))
        replica.close()
    assert rows_by_updates(database) == {1: ROWS}
    (last,) = (line for line in lines if line["event"] == "001_more is finished")
    assert (last["done"], last["total"]) == (ROWS, ROWS)


@pytest.mark.usefixtures("table", "small_chunks")
def test_the_log_reports_a_backfill_at_intervals(engine: sa.Engine, folder: Folder) -> None:
    with capture_logs() as lines:
        run_migrations(engine, config=folder.config(observer=LogProgress(), **QUICK))
    events = [line["event"] for line in lines if "table" in line]
    assert events == ["001_more goes on", "001_more is finished"]


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("backfill = 3\n" + PHASE, "backfill is not a Backfill"),
        (state(ONE_MORE).replace(PHASE, ""), "its phase is not 'backfill'"),
        (state('Backfill(table="t", set={})'), "set names no column"),
        (state('Backfill(table="t", set={"id": "1"})'), "it sets its key, id"),
        (state('Backfill(table="t", set={"n": 1})'), "must be texts"),
    ],
)
def test_an_invalid_backfill_is_refused_before_anything_runs(
    engine: sa.Engine, folder: Folder, lines: str, why: str
) -> None:
    folder.add("more", extra=lines)
    error = run_migrations(engine, config=folder.config()).error
    assert error is not None
    assert (error.code, why in error.problem) == ("backfill-unusable", True)


def test_a_table_without_a_usable_key_is_refused(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    database.ask("CREATE TABLE t (id INTEGER, n INTEGER)")
    database.ask("INSERT INTO t VALUES (NULL, 1)")
    folder.add("more", extra=state(ONE_MORE))
    error = run_migrations(engine, config=folder.config()).error
    assert error is not None
    assert error.code == "backfill-key-unusable"


@pytest.mark.parametrize("value", ["missing + 1", "n / 0", "1 +"])
def test_a_permanent_error_of_a_chunk_is_not_retried(
    engine: sa.Engine, folder: Folder, database: Database, value: str
) -> None:
    fill(database, rows=1, check="CHECK (n IS NOT NULL)")
    folder.add("more", extra=state(f'Backfill(table="t", set={{"n": "{value}"}})'))
    tried = RetryCounter()
    config = folder.config(observer=tried, backfill_pause=0.0, table_lock_retries=3)
    error = run_migrations(engine, config=config).error
    assert error is not None
    assert (error.code, tried.again) == ("backfill-failed", [])


def test_linting_runs_no_chunk_and_finds_an_unknown_column(
    folder: Folder, database: Database, command: Command
) -> None:
    fill(database)
    create = 'op.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)")'
    folder.add("t", create, 'op.drop_table("t")')
    folder.add("more", extra=state(ONE_MORE))
    code, out, _ = command("migrate lint")
    assert (code, out.endswith("2 migrations linted, 0 findings.\n")) == (0, True), out
    folder.add("less", extra=state(ONE_MORE.replace('"n + 1"', '"m - 1"')))
    code, out, _ = command("migrate lint")
    assert (code, "003_less" in out, "m" in out) == (1, True, True)
    assert rows_by_updates(database) == {0: ROWS}


@pytest.mark.usefixtures("table")
def test_printed_sql_ends_before_a_contract_that_waits_for_a_backfill(
    engine: sa.Engine, folder: Folder, database: Database, command: Command
) -> None:
    folder.add("drop", 'op.drop_table("t")', extra=CONTRACT)
    sql = migration_sql(engine, config=folder.config())
    assert "DROP TABLE" not in sql
    assert sql.endswith("-- Held back: 002_drop, by the backfill of t, which has not begun\n")
    run_script(database, sql)
    assert command("migrate status")[1].startswith("Current: 001.")
    waits = "-- Held back: 002_drop, by the backfill of t, which has not begun\n"
    assert command("migrate latest --sql")[1] == waits
    run_migrations(engine, config=folder.config(**QUICK)).raise_for_error()
    assert done(database) == ROWS
    assert database.heads() == {"002"}


@pytest.mark.skipif(KIND != "postgresql", reason="this is PostgreSQL's")
@pytest.mark.usefixtures("table", "small_chunks")
def test_a_backfill_works_through_a_pooler(
    database: Database, folder: Folder, tmp_path: Path
) -> None:
    with pgbouncer(database.address, tmp_path) as behind:
        engine = Database(behind).engine()
        run_migrations(engine, config=folder.config(**QUICK)).raise_for_error()
        engine.dispose()
    assert rows_by_updates(database) == {1: ROWS}


@pytest.mark.skipif(KIND != "postgresql", reason="this is PostgreSQL's")
@pytest.mark.usefixtures("table")
def test_a_replica_behind_a_pooler_runs_backfills_on_the_migration_address(
    database: Database, folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_migrations(database.engine(), config=folder.config(runs_backfills=False))
    monkeypatch.setattr(migrations, "config", folder.config())
    # A chunk needs two connections: this pooler has one.
    with pgbouncer(database.address, tmp_path, connections=1) as behind:
        settings = Settings(
            environment="development",
            database_url=behind,
            migration_database_url=database.address,
            auto_contract_interval=0.05,
        )
        engine = connect(settings)
        replica = Replica(engine, settings)
        wait_until(lambda: _finished(database), seconds=60)
        replica.close()
        engine.dispose()
    assert rows_by_updates(database) == {1: ROWS}


@pytest.mark.usefixtures("table")
def test_a_run_without_backfills_does_not_query_their_progress(
    database: Database, tmp_path: Path
) -> None:
    plain = Folder(tmp_path / "plain")
    plain.tables("a")
    run_migrations(database.engine(), config=plain.config())
    assert not any("progress" in one for one in _asked(database.engine(), plain.config()))


def _asked(engine: sa.Engine, config: MigrationConfig) -> list[str]:
    asked: list[str] = []
    sa.event.listen(engine.dialect, "do_execute", lambda _c, statement, *_: asked.append(statement))
    run_migrations(engine, config=config).raise_for_error()
    get_migration_status(engine, config=config)
    assert asked
    return asked
