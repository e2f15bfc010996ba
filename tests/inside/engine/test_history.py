"""``migrate history`` and ``migrate stats`` show every run, failed ones too."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from my_service.migrate import (
    Observer,
    Registration,
    RunState,
    migrate_down,
    migrate_up,
    read_runs,
    read_stats,
    rollback_migrations,
    run_migrations,
)
from my_service.migrate.lock import migration_lock
from my_service.migrate.watch.other_runs import KEPT_RUNS
from my_service.migrate.watch.timings import (
    KEPT_CHARACTERS,
    KEPT_STATEMENTS,
    Timings,
    without_values,
)

from engine.support import Command, Database, Folder, create, printed_json

FAIL = "op.execute('this is no SQL')"
ALONE = "transaction = False\n"


def test_runs_are_listed_newest_first_with_host_process_and_release(
    engine: sa.Engine, folder: Folder
) -> None:
    config = folder.config(load_release=lambda: "1.2.3")
    folder.tables("a", "b")
    run_migrations(engine, config=config)
    folder.tables("c")
    run_migrations(engine, config=config)
    newest, oldest = read_runs(engine, config=config)
    assert (newest.batch, newest.migrations) == (2, ("003_c",))
    assert (oldest.batch, oldest.migrations) == (1, ("001_a", "002_b"))
    assert (oldest.host, oldest.pid, oldest.release) == (platform.node(), os.getpid(), "1.2.3")
    assert oldest.started_at <= newest.started_at and newest.duration > 0
    assert {newest.state, oldest.state} == {RunState.APPLIED}


def test_the_duration_of_a_run_excludes_loading_the_models(
    engine: sa.Engine, folder: Folder
) -> None:
    prepared: list[datetime] = []

    def load() -> sa.MetaData:
        prepared.append(datetime.now(UTC))
        return sa.MetaData()

    folder.tables("a")
    run_migrations(engine, config=replace(folder.config(), load_metadata=load))
    (run,) = read_runs(engine, config=folder.config())
    assert prepared and run.started_at >= max(prepared)


def test_a_rolled_back_run_has_the_time_of_its_rollback(engine: sa.Engine, folder: Folder) -> None:
    folder.tables("a", "b")
    run_migrations(engine, config=folder.config())
    migrate_down(engine, config=folder.config())
    (run,) = read_runs(engine, config=folder.config())
    assert (run.state, run.undone_at) == (RunState.PARTLY_ROLLED_BACK, None)
    rollback_migrations(engine, config=folder.config())
    (run,) = read_runs(engine, config=folder.config())
    assert run.state is RunState.ROLLED_BACK
    assert run.undone_at is not None and run.undone_at >= run.started_at


def test_a_failed_run_is_recorded_with_its_error_and_changes_nothing_else(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("a")
    run_migrations(engine, config=folder.config())
    before = database.all()
    folder.add("bad", [create("b"), FAIL])
    result = run_migrations(engine, config=folder.config())
    assert database.all() == before
    failed, done = read_runs(engine, config=folder.config())
    assert (failed.state, failed.migrations, failed.batch) == (RunState.FAILED, ("002_bad",), None)
    assert result.error is not None and failed.error == result.error.as_dict()
    assert (failed.pid, done.state) == (os.getpid(), RunState.APPLIED)


def test_a_failure_is_listed_after_the_applied_migrations_of_its_run(
    engine: sa.Engine, folder: Folder
) -> None:
    folder.tables("a")
    folder.add("alone", "pass", extra=ALONE)
    folder.add("bad", FAIL)
    run_migrations(engine, config=folder.config())
    failed, done = read_runs(engine, config=folder.config())
    assert (failed.migrations, done.migrations) == (("003_bad",), ("001_a", "002_alone"))


def test_a_failed_rollback_is_recorded(engine: sa.Engine, folder: Folder) -> None:
    folder.add("stuck", create("a"), FAIL)
    run_migrations(engine, config=folder.config())
    rollback_migrations(engine, config=folder.config())
    assert read_runs(engine, config=folder.config())[0].migrations == ("001_stuck",)


def test_repeated_failures_are_counted_and_the_number_of_failures_is_limited(
    engine: sa.Engine, folder: Folder
) -> None:
    folder.tables("a")
    run_migrations(engine, config=folder.config())
    folder.add("bad", FAIL)
    for _ in range(3):
        run_migrations(engine, config=folder.config())
    (failed, _) = read_runs(engine, config=folder.config())
    assert failed.times == 3
    text = folder.file("002_bad").read_text()
    for number in range(1, KEPT_RUNS + 3):
        # Each time with another length: Python distinguishes files of the same second by it.
        folder.file("002_bad").write_text(text.replace("this is no SQL", "no" * number))
        run_migrations(engine, config=folder.config())
    failures = read_runs(engine, config=folder.config(), failed=True)
    assert len(failures) == KEPT_RUNS
    assert "no" * (KEPT_RUNS + 2) in (failures[0].error or {})["problem"]


def test_a_failed_first_run_does_not_change_the_database(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("a")
    folder.add("bad", FAIL)
    empty = database.schema()
    result = run_migrations(engine, config=folder.config())
    assert result.error is not None and "Nothing was changed" in result.error.impact
    assert database.schema() == empty
    assert read_runs(engine, config=folder.config()) == []


def test_a_refused_run_is_recorded_if_there_is_a_history(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("a")
    empty = database.schema()
    folder.add("other", after="001")
    folder.add("head", after="001")
    assert not run_migrations(engine, config=folder.config()).success
    assert database.schema() == empty
    folder.file("003_head").unlink()
    run_migrations(engine, config=folder.config()).raise_for_error()
    assert migrate_up(engine, "nobody", config=folder.config()).error is not None
    assert len(read_runs(engine, config=folder.config())) == 1
    folder.add("head", after="001")
    for _ in range(2):
        run_migrations(engine, config=folder.config())
    refused, _ = read_runs(engine, config=folder.config())
    assert (refused.error or {})["code"] == "multiple-heads"
    assert (refused.state, refused.times, refused.migrations) == (RunState.FAILED, 2, ())


def test_a_refused_run_adds_nothing_to_a_foreign_database(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    database.ask("CREATE TABLE a (id integer)")
    before = database.schema()
    folder.tables("a")
    result = run_migrations(engine, config=folder.config())
    assert result.error is not None and result.error.code == "tables-without-history"
    assert database.schema() == before


def test_a_lock_timeout_is_not_recorded(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("a")
    run_migrations(engine, config=folder.config())
    folder.add("other")
    other = database.engine()
    with migration_lock(other, 1), other.connect() as connection:
        connection.exec_driver_sql("UPDATE migration_history SET batch = 1")
        error = run_migrations(engine, config=folder.config(lock_timeout=0.1)).error
    assert error is not None and error.code == "lock-timeout"
    assert len(read_runs(engine, config=folder.config())) == 1


def test_an_interrupted_run_is_recorded(engine: sa.Engine, folder: Folder) -> None:
    folder.tables("done")
    run_migrations(engine, config=folder.config())
    folder.add("quick", create("a"))
    folder.add("slow", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        run_migrations(engine, config=folder.config())
    run, _ = read_runs(engine, config=folder.config())
    assert (run.state, run.migrations) == (RunState.FAILED, ("003_slow",))
    assert (run.error or {})["code"] == "interrupted"


def test_a_held_back_contract_is_recorded_with_its_reason(
    engine: sa.Engine, folder: Folder
) -> None:
    folder.tables("a")
    run_migrations(engine, config=folder.config())
    Registration(engine, folder.config()).register()
    folder.add("drop_a", 'op.drop_table("a")', extra='phase = "contract"\n')
    for _ in range(2):
        assert run_migrations(engine, config=folder.config()).held_back
    held, _ = read_runs(engine, config=folder.config())
    assert (held.state, held.migrations, held.times) == (RunState.HELD_BACK, ("002_drop_a",), 2)
    assert "revision 001" in held.held_by[0] and f"held back by {held.held_by[0]}" in held.remarks
    assert read_runs(engine, config=folder.config(), failed=True) == []
    assert read_stats(engine, config=folder.config()).held_back == 2


def test_a_run_records_the_backup_made_before_it(engine: sa.Engine, folder: Folder) -> None:
    folder.tables("a")
    run_migrations(engine, config=folder.config(before_run=lambda *_: "first"))
    folder.add("bad", FAIL)
    run_migrations(engine, config=folder.config(before_run=lambda *_: "second"))
    runs = read_runs(engine, config=folder.config())
    assert [run.backup for run in runs] == ["second", "first"]
    assert [run.remarks[-1] for run in runs] == ["backup second", "backup first"]


def test_a_history_that_cannot_be_written_does_not_hide_the_error(
    engine: sa.Engine, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.tables("a")
    run_migrations(engine, config=folder.config())

    def refuse(*_: object, **__: object) -> None:
        raise sa.exc.OperationalError("UPDATE", {}, Exception("the disk is full"))

    monkeypatch.setattr("my_service.migrate.watch.other_runs._write", refuse)
    folder.add("bad", FAIL)
    result = run_migrations(engine, config=folder.config())
    assert result.error is not None and result.error.code == "migration-failed"


def test_a_history_of_an_older_release_gets_missing_columns(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("a")
    run_migrations(engine, config=folder.config())
    for column in ("details", "other_runs"):
        database.ask(f"ALTER TABLE migration_history DROP COLUMN {column}")
    (run,) = read_runs(engine, config=folder.config())
    assert (run.host, run.migrations) == (None, ("001_a",))
    assert read_runs(engine, config=folder.config(), failed=True) == []
    folder.add("bad", FAIL)
    run_migrations(engine, config=folder.config())
    assert [run.state for run in read_runs(engine, config=folder.config(), failed=True)] == [
        RunState.FAILED
    ]


def test_pages_contain_each_run_once(engine: sa.Engine, folder: Folder) -> None:
    for name in "abc":
        folder.tables(name)
        run_migrations(engine, config=folder.config())
    folder.add("bad", FAIL)
    run_migrations(engine, config=folder.config())
    every = [run.key for run in read_runs(engine, config=folder.config())]
    paged: list[str] = []
    while page := read_runs(
        engine, config=folder.config(), limit=1, after=paged[-1] if paged else None
    ):
        paged += [run.key for run in page]
    assert paged == every == ["3.1", "3.0", "2.0", "1.0"]


def test_runs_of_one_migration_are_found_by_all_its_names(
    engine: sa.Engine, folder: Folder
) -> None:
    for name in ("users", "tokens"):
        folder.tables(name)
        run_migrations(engine, config=folder.config())
    for name in ("tokens", "002", "002_tokens"):
        runs = read_runs(engine, config=folder.config(), migration=name)
        assert [run.migrations for run in runs] == [("002_tokens",)]
    assert read_runs(engine, config=folder.config(), migration="token") == []


def test_the_slowest_statements_are_recorded_without_values(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    insert = 'op.execute(sa.text("INSERT INTO a VALUES (:id)").bindparams(id=4711))'
    rows = [f'op.execute("INSERT INTO a VALUES ({number})")' for number in range(100, 120)]
    folder.add("rows", [create("a"), insert, *rows])
    run_migrations(engine, config=folder.config())
    (run,) = read_runs(engine, config=folder.config())
    assert len(run.statements) == KEPT_STATEMENTS
    seconds = [one["seconds"] for one in run.statements]
    assert seconds == sorted(seconds, reverse=True) and seconds[0] > 0
    ((details,),) = database.ask("SELECT details FROM migration_history")
    assert "INSERT INTO a VALUES (?)" in details or "CREATE TABLE a" in details
    assert "4711" not in details and "110" not in [one["statement"] for one in run.statements]


@pytest.mark.parametrize(
    ("statement", "kept"),
    [
        ("SELECT 'it''s', 12.5e3, x1 FROM t2", "SELECT ?, ?, x1 FROM t2"),
        ("INSERT INTO a\n  VALUES (%(id)s, $1)", "INSERT INTO a VALUES (%(id)s, $1)"),
        (r"SELECT E'a\'secret'", "SELECT ?"),
        ("DO $x$ secret 'a' $x$; SELECT $$b$$", "DO ?; SELECT ?"),
        ("SELECT 'never ends secret", "SELECT ?"),
        ("SELECT 1 -- secret\n/* secret */", "SELECT ? ? ?"),
    ],
)
def test_values_are_removed_from_statements(statement: str, kept: str) -> None:
    assert without_values(statement) == kept


def test_a_long_statement_is_shortened_after_its_values_are_removed() -> None:
    assert without_values("SELECT '" + "x" * 1000 + "'") == "SELECT ?"
    assert len(without_values("SELECT " + "column, " * 1000)) == KEPT_CHARACTERS


def test_timings_keep_only_the_slowest() -> None:
    timings = Timings()
    for number in range(100):
        timings.add(f"SELECT a{number}", seconds=number % 50, rows=None)
    assert [one["seconds"] for one in timings.take()] == [49, 49, 48, 48, 47]
    assert timings.take() == []


class EventRecorder(Observer):
    """Records the events."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def run_started(self, names: Any, *, is_upgrade: bool) -> None:
        """Note it."""
        self.events.append(("run", tuple(names), is_upgrade))

    def migration_started(self, name: str, *, is_upgrade: bool) -> None:
        """Note it."""
        self.events.append(("migration", name))

    def statement_finished(self, statement: str, seconds: float, rows: int | None) -> None:
        """Note it."""
        self.events.append(("statement", statement.split()[0], rows))


def test_an_observer_receives_run_migration_and_statement_events(
    engine: sa.Engine, folder: Folder
) -> None:
    observer = EventRecorder()
    folder.add("a", [create("a"), "op.execute('INSERT INTO a VALUES (1), (2)')"])
    run_migrations(engine, config=folder.config(observer=observer))
    run_migrations(engine, config=folder.config(observer=observer))
    assert observer.events[:2] == [("run", ("001_a",), True), ("migration", "001_a")]
    assert [event[1] for event in observer.events[2:]] == ["CREATE", "INSERT"]
    assert observer.events[-1] == ("statement", "INSERT", 2)


class TimeRecorder(Observer):
    """Records how long migrations and statements took, and the statements' rows."""

    def __init__(self) -> None:
        self.migrations: list[float] = []
        self.statements: list[float] = []
        self.rows: list[int | None] = []

    def migration_finished(self, name: str, seconds: float, *, is_upgrade: bool) -> None:
        """Note it."""
        self.migrations.append(seconds)

    def statement_finished(self, statement: str, seconds: float, rows: int | None) -> None:
        """Note it."""
        self.statements.append(seconds)
        self.rows.append(rows)


def test_a_migration_takes_as_long_as_its_statements_and_no_longer_than_its_run(
    engine: sa.Engine, folder: Folder
) -> None:
    heard = TimeRecorder()
    folder.add("a", [create("a"), "op.execute('DELETE FROM a')"])
    run = run_migrations(engine, config=folder.config(observer=heard)).raise_for_error()
    (migration,) = heard.migrations
    assert 0 < sum(heard.statements) <= migration <= run.duration
    assert heard.rows == [None, 0]


def test_stats_count_runs_and_time_each_migration(engine: sa.Engine, folder: Folder) -> None:
    config = folder.config()
    folder.tables("a", "b")
    run_migrations(engine, config=config)
    rollback_migrations(engine, config=config)
    run_migrations(engine, config=config)
    folder.add("bad", FAIL)
    run_migrations(engine, config=config)
    stats = read_stats(engine, config=config)
    assert (stats.runs, stats.rolled_back, stats.failed) == (2, 1, 1)
    assert [(one.name, one.times) for one in stats.migrations] == [("001_a", 2), ("002_b", 2)]
    assert all(one.longest >= one.last > 0 for one in stats.migrations)
    assert any("CREATE TABLE a" in one["statement"] for one in stats.statements)


def test_history_and_stats_print_the_recorded_runs(command: Command, folder: Folder) -> None:
    folder.tables("a")
    assert command("migrate latest")[0] == 0
    folder.add("bad", FAIL)
    assert command("migrate latest")[0] == 1
    failed, done = printed_json(command("migrate history --json")[1])
    assert (failed["state"], done["state"]) == ("failed", "applied")
    assert failed["error"]["code"] == "migration-failed"
    assert [run["key"] for run in printed_json(command("migrate history --failed --json")[1])] == [
        failed["key"]
    ]
    assert len(printed_json(command("migrate history --limit 1 --json")[1])) == 1
    code, out, _ = command("migrate history --migration a")
    assert (code, out.count("\n")) == (0, 1)
    assert "001_a" in out and f"pid {os.getpid()}" in out
    assert "002_bad failed" in command("migrate history")[2]
    stats = printed_json(command("migrate stats --json")[1])
    assert (stats["runs"], stats["failed"]) == (1, 1)
    out = command("migrate stats")[1]
    assert out.startswith("1 run, 0 rolled back since, 1 failed.") and "001_a\t1\t" in out


def test_stats_compare_with_another_environment(
    engine: sa.Engine,
    database: Database,
    folder: Folder,
    new_database: Callable[[], Database],
    command: Command,
) -> None:
    folder.tables("a", "b", "c")
    other_database = new_database()
    run_migrations(other_database.engine(), config=folder.config())
    for name in ("001_a", "002_b"):
        migrate_up(engine, name, config=folder.config())
    for seconds, one in ((0.5, database), (0.25, other_database)):
        one.ask(f"UPDATE migration_history SET duration = {seconds}")
    compared = printed_json(command(f"migrate stats {other_database.address} --json")[1])[
        "compared"
    ]
    assert compared["factor"] == 2
    assert [tuple(one.values()) for one in compared["migrations"]] == [
        ("001_a", 0.5, 0.25, None),
        ("002_b", 0.5, 0.25, None),
        ("003_c", None, 0.25, 0.5),
    ]
    code, out, _ = command(f"migrate stats {other_database.address}")
    assert code == 0 and "takes 2.00 times as long here as there" in out
    assert "003_c\t\t0.250\t0.500\n" in out


def test_history_and_stats_are_empty_without_a_history(command: Command) -> None:
    assert command("migrate history --json")[:2] == (0, "[]\n")
    assert command("migrate history")[2] == "No run is recorded\n"
    assert printed_json(command("migrate stats --json")[1])["runs"] == 0
