"""Every kind of engine works, or is refused with an error."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest
import sqlalchemy as sa
from my_service.migrate import (
    get_migration_status,
    make_migration,
    migration_sql,
    rollback_migrations,
    run_migrations,
)

from engine.support import KIND, Database, Folder, gate

only_sqlite = pytest.mark.skipif(KIND != "sqlite", reason="this is SQLite's")
only_postgresql = pytest.mark.skipif(KIND != "postgresql", reason="this is PostgreSQL's")


@pytest.fixture
def made() -> Iterator[list[sa.Engine]]:
    """Engines to close at the end."""
    engines: list[sa.Engine] = []
    yield engines
    for engine in engines:
        engine.dispose()


def check_upgrade_and_downgrade(engine: sa.Engine, folder: Folder) -> None:
    """Migrate, check, and undo, on any kind of engine."""
    config = folder.config()
    folder.tables("a", "b")
    result = run_migrations(engine, config=config).raise_for_error()
    assert result.migrations == ("001_a", "002_b")
    assert sa.inspect(engine).has_table("b")
    assert get_migration_status(engine, config=config).at_head
    folder.add("bad", ['op.drop_table("a")', "1 / 0"])
    assert not run_migrations(engine, config=config).success
    assert sa.inspect(engine).has_table("a")
    assert make_migration(engine, "x", empty=True, config=config).path.exists()
    assert rollback_migrations(engine, config=config).raise_for_error().migrations[0] == "002_b"
    assert not sa.inspect(engine).has_table("a")


POOLS: dict[str, dict[str, Any]] = {
    "one connection": {
        "poolclass": sa.QueuePool,
        "pool_size": 1,
        "max_overflow": 0,
        "pool_timeout": 5,
    },
    "no pool": {"poolclass": sa.NullPool},
    "static": {"poolclass": sa.StaticPool},
    "autocommit": {"isolation_level": "AUTOCOMMIT"},
    "one per thread": {"poolclass": sa.SingletonThreadPool},
}


@pytest.mark.parametrize("options", POOLS.values(), ids=POOLS)
def test_every_pool_and_isolation_level_works(
    database: Database, folder: Folder, made: list[sa.Engine], options: dict[str, Any]
) -> None:
    made.append(sa.create_engine(database.address, **options))
    check_upgrade_and_downgrade(made[0], folder)


def test_an_engine_with_autocommit_works(engine: sa.Engine, folder: Folder) -> None:
    check_upgrade_and_downgrade(engine.execution_options(isolation_level="AUTOCOMMIT"), folder)


def test_a_connection_a_session_or_an_address_is_refused(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("a")
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT 1"))
        for other in (connection, database.address, None):
            error = run_migrations(other, config=folder.config()).error
            assert "takes a SQLAlchemy Engine, not" in error.problem
            assert rollback_migrations(other, config=folder.config()).error is not None
    assert database.tables() == set()


def test_an_async_engine_is_refused(folder: Folder) -> None:
    folder.tables("a")
    engine = sa.create_engine("postgresql+psycopg_async://127.0.0.1:1/x")
    error = run_migrations(engine, config=folder.config()).error
    assert "cannot work with postgresql+psycopg_async" in error.problem


@only_sqlite
@pytest.mark.parametrize("pool", [sa.StaticPool, sa.SingletonThreadPool])
def test_sqlite_in_memory_works_with_one_shared_connection(
    folder: Folder, made: list[sa.Engine], pool: type[sa.Pool]
) -> None:
    made.append(sa.create_engine("sqlite://", poolclass=pool))
    check_upgrade_and_downgrade(made[0], folder)


@only_sqlite
def test_sqlite_in_memory_is_refused_with_a_database_per_connection(folder: Folder) -> None:
    folder.tables("a")
    error = run_migrations(
        sa.create_engine("sqlite://", poolclass=sa.NullPool), config=folder.config()
    ).error
    assert "has no record of 1 migration" in error.problem
    assert "StaticPool" in error.solution


@only_sqlite
def test_an_engine_with_the_documented_begin_listener_works(
    database: Database, folder: Folder, made: list[sa.Engine]
) -> None:
    made.append(sa.create_engine(database.address))

    sa.event.listen(made[0], "connect", lambda raw, _: setattr(raw, "isolation_level", None))
    sa.event.listen(made[0], "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    check_upgrade_and_downgrade(made[0], folder)


def test_a_shared_connection_with_an_open_transaction_is_refused(
    database: Database, folder: Folder, made: list[sa.Engine]
) -> None:
    folder.tables("a")
    made.append(sa.create_engine(database.address, poolclass=sa.StaticPool))
    with made[0].connect() as connection:
        connection.exec_driver_sql("CREATE TABLE theirs (id INTEGER)")
        if KIND == "sqlite":
            connection.exec_driver_sql("INSERT INTO theirs VALUES (1)")
        error = run_migrations(made[0], config=folder.config()).error
    assert error.problem == "The engine's connection has already begun a transaction."
    assert "a" not in database.tables()


@only_postgresql
def test_a_listener_that_leaves_a_transaction_open_is_refused(
    database: Database, folder: Folder, made: list[sa.Engine]
) -> None:
    folder.tables("a")
    made.append(sa.create_engine(database.address))

    sa.event.listen(made[0], "connect", lambda raw, _: raw.execute("SELECT 1"))
    error = run_migrations(made[0], config=folder.config()).error
    assert error.problem == "The engine's connection has already begun a transaction."


def test_a_call_inside_a_running_event_loop_works(engine: sa.Engine, folder: Folder) -> None:
    async def serve() -> None:
        check_upgrade_and_downgrade(engine, folder)

    asyncio.run(serve())


def test_threads_wait_for_each_other(engine: sa.Engine, folder: Folder, database: Database) -> None:
    folder.add("a", ["import time", "time.sleep(0.1)", 'op.execute("CREATE TABLE a (id INTEGER)")'])
    results: list[Any] = []
    threads = [
        Thread(target=lambda: results.append(run_migrations(engine, config=folder.config())))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(result.success for result in results)
    assert sorted(result.migrations for result in results) == [(), (), (), ("001_a",)]
    assert database.history() == [(1, 1, "001_a", True)]


def test_a_thread_that_waits_too_long_gets_an_error(engine: sa.Engine, folder: Folder) -> None:
    gate.began.clear()
    gate.open.clear()
    folder.add("slow", ["from engine.support import gate", "gate.began.set()", "gate.open.wait()"])
    slow = Thread(target=lambda: run_migrations(engine, config=folder.config()))
    slow.start()
    gate.began.wait()
    error = run_migrations(engine, config=folder.config(lock_timeout=0.1)).error
    gate.open.set()
    slow.join()
    assert "Another migrator held the lock for 0.1 seconds" in error.problem


def test_a_run_does_not_change_the_logging_configuration(engine: sa.Engine, folder: Folder) -> None:
    def state() -> list[tuple[Any, ...]]:
        loggers = [logging.getLogger(), *map(logging.getLogger, sorted(names))]
        return [(x.name, x.level, x.disabled, x.propagate, tuple(x.handlers)) for x in loggers]

    logging.getLogger("theirs.deep")
    run_migrations(engine, config=folder.config())
    names = [*logging.Logger.manager.loggerDict]
    before = state()
    folder.tables("a")
    run_migrations(engine, config=folder.config())
    migration_sql(engine, config=folder.config())
    assert state() == before


def test_a_run_restores_the_settings_of_the_connection(
    database: Database, folder: Folder, made: list[sa.Engine]
) -> None:
    made.append(
        sa.create_engine(database.address, poolclass=sa.QueuePool, pool_size=1, max_overflow=0)
    )
    settings = {
        "sqlite": ["PRAGMA foreign_keys", "PRAGMA busy_timeout"],
        "postgresql": ["SHOW lock_timeout", "SHOW application_name", "SHOW transaction_isolation"],
    }[KIND]

    def state() -> list[Any]:
        with made[0].connect() as connection:
            raw: Any = connection.connection.dbapi_connection
            mode = raw.isolation_level if KIND == "sqlite" else raw.autocommit
            return [mode, *(connection.exec_driver_sql(one).scalar() for one in settings)]

    before = state()
    folder.tables("a")
    folder.add("bad", "1 / 0")
    run_migrations(made[0], config=folder.config())
    assert state() == before


@only_postgresql
def test_session_settings_of_a_migration_do_not_stay_on_the_connection(
    database: Database, folder: Folder
) -> None:
    folder.add("sets", "op.execute(\"SET statement_timeout = '7s'\")")
    pooled = sa.create_engine(database.address, pool_size=1, max_overflow=0)
    run_migrations(pooled, config=folder.config()).raise_for_error()
    with pooled.connect() as connection:
        assert connection.scalar(sa.text("SHOW statement_timeout")) == "0"
    pooled.dispose()
