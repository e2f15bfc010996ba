"""A migration never queues the whole site behind a long reader."""

from __future__ import annotations

import time
from collections.abc import Iterator
from threading import Timer

import pytest
import sqlalchemy as sa
from my_service.migrate import rollback_migrations, run_migrations

from engine.support import KIND, Command, Database, Folder

pytestmark = pytest.mark.skipif(KIND != "postgresql", reason="this is PostgreSQL's")

ALTER = "op.execute('ALTER TABLE a ADD COLUMN x INTEGER')"


@pytest.fixture
def reader(database: Database, folder: Folder, engine: sa.Engine) -> Iterator[sa.Connection]:
    """Somebody who reads a table for long."""
    folder.tables("a")
    run_migrations(engine, config=folder.config())
    with sa.create_engine(database.address, poolclass=sa.NullPool).connect() as connection:
        connection.exec_driver_sql("SELECT * FROM a")
        yield connection


def test_a_table_that_stays_locked_is_left_alone_in_the_end(
    reader: sa.Connection, engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("b")
    folder.add("alter", ALTER)
    before = database.all()
    config = folder.config(table_lock_timeout=0.1, table_lock_retries=1)
    began = time.monotonic()
    error = run_migrations(engine, config=config).error
    assert error.problem.startswith("003_alter failed: OperationalError: ")
    assert "lock timeout" in error.problem
    assert time.monotonic() - began < 3
    reader.close()
    assert database.all() == before
    assert run_migrations(engine, config=config).migrations == ("002_b", "003_alter")


def test_while_it_waits_others_wait_no_longer_than_the_lock_timeout(
    reader: sa.Connection, engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.add("alter", ALTER)
    config = folder.config(table_lock_timeout=0.2, table_lock_retries=3)
    migrator = Timer(0, lambda: run_migrations(engine, config=config))
    migrator.start()
    longest = 0.0
    while migrator.is_alive():
        began = time.monotonic()
        database.ask("SELECT count(*) FROM a")
        longest = max(longest, time.monotonic() - began)
    reader.close()
    assert longest < 0.6


def test_it_tries_again_and_succeeds_when_the_reader_is_done(
    reader: sa.Connection,
    engine: sa.Engine,
    folder: Folder,
    database: Database,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder.tables("b")
    folder.add("alter", ALTER)
    Timer(0.4, reader.close).start()
    config = folder.config(table_lock_timeout=0.1, table_lock_retries=5)
    result = run_migrations(engine, config=config).raise_for_error()
    assert (result.batch, result.migrations) == (2, ("002_b", "003_alter"))
    assert "A table stayed locked; trying again" in caplog.text
    assert [row[:2] for row in database.history()] == [(1, 1), (2, 2), (2, 2)]


def test_a_rollback_tries_again_too(
    reader: sa.Connection, engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.add("b", "pass", "op.execute('ALTER TABLE a ADD COLUMN y INTEGER')")
    folder.tables("c")
    run_migrations(engine, config=folder.config())
    Timer(0.4, reader.close).start()
    result = rollback_migrations(engine, config=folder.config(table_lock_timeout=0.1))
    assert result.raise_for_error().migrations == ("003_c", "002_b")


def test_both_limits_are_settings(
    reader: sa.Connection, folder: Folder, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.add("alter", ALTER)
    monkeypatch.setenv("MIGRATION_TABLE_LOCK_TIMEOUT", "0.1")
    monkeypatch.setenv("MIGRATION_TABLE_LOCK_RETRIES", "0")
    began = time.monotonic()
    code, _, err = command("migrate latest")
    assert (code, time.monotonic() - began < 3) == (1, True)
    assert "lock timeout" in err
    reader.close()
