"""A migration that waits for a lock does not block other queries for long."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest
import sqlalchemy as sa
from my_service.migrate import MigrationResult, rollback_migrations, run_migrations

from engine.support import KIND, Command, Database, Folder

pytestmark = pytest.mark.skipif(KIND != "postgresql", reason="this is PostgreSQL's")

AGAIN = "A table is still locked; trying again"
ALTER = "op.execute('ALTER TABLE a ADD COLUMN x INTEGER')"


@pytest.fixture
def reader(database: Database, folder: Folder, engine: sa.Engine) -> Iterator[sa.Connection]:
    """A client that reads a table for a long time."""
    folder.tables("a")
    run_migrations(engine, config=folder.config())
    with sa.create_engine(database.address, poolclass=sa.NullPool).connect() as connection:
        connection.exec_driver_sql("SELECT * FROM a")
        yield connection


@contextmanager
def closed_at_the_first_retry(reader: sa.Connection) -> Iterator[None]:
    """Close a connection as soon as the engine says that it tries again."""

    class Closing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if AGAIN in record.getMessage():
                reader.close()

    handler = Closing()
    logging.getLogger("my_service").addHandler(handler)
    yield
    logging.getLogger("my_service").removeHandler(handler)


def test_a_run_gives_up_on_a_locked_table_and_rolls_back(
    reader: sa.Connection,
    engine: sa.Engine,
    folder: Folder,
    database: Database,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder.tables("b")
    folder.add("alter", ALTER)
    before = database.all()
    config = folder.config(table_lock_timeout=0.1, table_lock_retries=1)
    error = run_migrations(engine, config=config).error
    assert error.problem.startswith("003_alter failed: OperationalError: ")
    assert "lock timeout" in error.problem
    assert caplog.text.count(AGAIN) == 1
    reader.close()
    assert database.all() == before
    assert run_migrations(engine, config=config).migrations == ("002_b", "003_alter")


def test_other_queries_run_between_the_lock_attempts(
    reader: sa.Connection, engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.add("alter", ALTER)
    config = folder.config(table_lock_timeout=0.2, table_lock_retries=3)
    results: list[MigrationResult] = []
    migrator = Thread(target=lambda: results.append(run_migrations(engine, config=config)))
    migrator.start()
    turns = 0
    while migrator.is_alive():
        # The reader continues, so queries behind the migration run only when it gives up.
        if database.ask("SELECT 1 FROM pg_locks WHERE relation = 'a'::regclass AND NOT granted"):
            database.ask("SET statement_timeout = '60s'; SELECT count(*) FROM a")
            turns += 1
    assert turns >= 1
    assert "lock timeout" in results[0].error.problem
    assert reader.in_transaction()


def test_a_run_retries_and_succeeds_when_the_reader_ends(
    reader: sa.Connection,
    engine: sa.Engine,
    folder: Folder,
    database: Database,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder.tables("b")
    folder.add("alter", ALTER)
    config = folder.config(table_lock_timeout=0.1, table_lock_retries=5)
    with closed_at_the_first_retry(reader):
        result = run_migrations(engine, config=config).raise_for_error()
    assert (result.batch, result.migrations) == (2, ("002_b", "003_alter"))
    assert AGAIN in caplog.text
    assert [row[:2] for row in database.history()] == [(1, 1), (2, 2), (2, 2)]


def test_a_rollback_retries_too(
    reader: sa.Connection, engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.add("b", "pass", "op.execute('ALTER TABLE a ADD COLUMN y INTEGER')")
    folder.tables("c")
    run_migrations(engine, config=folder.config())
    with closed_at_the_first_retry(reader):
        result = rollback_migrations(engine, config=folder.config(table_lock_timeout=0.1))
    assert result.raise_for_error().migrations == ("003_c", "002_b")


def test_lock_timeout_and_retries_are_settings(
    reader: sa.Connection,
    folder: Folder,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder.add("alter", ALTER)
    monkeypatch.setenv("MIGRATION_TABLE_LOCK_TIMEOUT", "0.1")
    monkeypatch.setenv("MIGRATION_TABLE_LOCK_RETRIES", "0")
    code, _, err = command("migrate latest")
    assert (code, caplog.text.count(AGAIN)) == (1, 0)
    assert "lock timeout" in err
    reader.close()


def test_the_lock_limit_applies_to_statements_outside_a_transaction(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("a")
    run_migrations(engine, config=folder.config())
    folder.add(
        "alter", 'op.execute("ALTER TABLE a ADD COLUMN x INT")', extra="transaction = False\n"
    )
    limits = folder.config(table_lock_timeout=0.2, table_lock_retries=1)
    with database.engine().connect() as reader:
        reader.execute(sa.text("SELECT * FROM a"))
        error = run_migrations(engine, config=limits).error
        assert "lock timeout" in error.problem
    assert run_migrations(engine, config=limits).migrations == ("002_alter",)
