"""Progress during a run: in the log at start-up, by a bar on a terminal."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from my_service.cli.progress import Bar
from my_service.migrate import Observer, Several, Silent, run_migrations
from my_service.migrations.progress import LogProgress
from structlog.testing import capture_logs

from engine.support import Database, Folder, create
from engine.terminal import on_a_terminal

TELL = 'import structlog; structlog.get_logger().info("in the body")'


def test_the_log_names_each_migration_before_and_after_it_runs(
    engine: sa.Engine, folder: Folder
) -> None:
    folder.tables("a")
    folder.add("b", TELL)
    with capture_logs() as lines:
        run_migrations(engine, config=folder.config(observer=LogProgress()))
    events = [line["event"] for line in lines]
    assert events == [
        "Applying 2 migrations",
        "001_a runs",
        "001_a has run",
        "002_b runs",
        "in the body",
        "002_b has run",
    ]
    assert [line["place"] for line in lines if "place" in line] == ["1 of 2", "2 of 2"]
    assert {line["log_level"] for line in lines} == {"info"}


def test_a_run_with_nothing_to_do_logs_nothing(engine: sa.Engine, folder: Folder) -> None:
    folder.tables("a")
    run_migrations(engine, config=folder.config())
    with capture_logs() as lines:
        run_migrations(engine, config=folder.config(observer=LogProgress()))
    assert lines == []


def test_each_event_is_logged_once_with_several_observers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    both = Several(Observer(), Silent())
    both.waiting("somebody")
    both.for_tenant("acme").retrying(1)
    both.schema_ahead(["003_c"])
    assert len(caplog.records) == 3


def test_several_observers_get_every_event() -> None:
    events = {name for name in vars(Observer) if not name.startswith("_")}
    assert events <= vars(Several).keys()


def test_the_progress_of_a_single_tenant_is_logged_at_debug(
    engine: sa.Engine, folder: Folder
) -> None:
    folder.tables("a")
    with capture_logs() as lines:
        one = LogProgress().for_tenant("acme")
        run_migrations(engine, config=folder.config(observer=one))
    assert {(line["log_level"], line["tenant"]) for line in lines} == {("debug", "acme")}


def test_a_terminal_shows_the_running_migration_and_the_count(
    database: Database, folder: Folder
) -> None:
    folder.tables("a")
    folder.add("slow", [create("b"), "import time; time.sleep(0.5)"])
    shown = on_a_terminal(database, folder, "latest", stream="stderr", TERM="xterm")
    assert "002_slow" in shown and "1/2" in shown


def test_a_progress_bar_ends_with_its_run_and_can_be_closed_twice(
    engine: sa.Engine, folder: Folder
) -> None:
    folder.add("bad", "op.execute('this is no SQL')")
    bar = Bar()
    assert not run_migrations(engine, config=folder.config(observer=bar)).success
    assert bar._shown is None
    bar.close()
