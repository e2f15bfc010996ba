"""The connection that migrations run on: real transactions, on every database.

Alembic begins and commits, also in the middle of a run; what must hold around each of these
transactions hangs on the connection's own events.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

from sqlalchemy import Connection, Engine, event, text

from .config import MigrationConfig
from .results import MigrationError


@contextmanager
def reading(engine: Engine, config: MigrationConfig | None = None) -> Iterator[Connection]:
    """A connection that takes no lock and leaves no transaction open.

    Args:
        config: says which scope to enter.
    """
    with _bare(engine).connect() as connection:
        if config is not None and config.on_begin is not None:
            config.on_begin(connection)
        yield connection


@contextmanager
def migrating(
    engine: Engine, config: MigrationConfig, before_commit: Callable[[], None] = lambda: None
) -> Iterator[Connection]:
    """A connection on which nothing has begun yet.

    Args:
        before_commit: called before each commit; what it raises prevents the commit.

    Raises:
        MigrationError: the engine hands out connections with a transaction already begun.
    """
    with _bare(engine).connect() as connection:
        prepare = _sqlite if engine.dialect.name == "sqlite" else _postgresql
        with prepare(connection, config):
            event.listen(connection, "commit", lambda _: before_commit())
            if config.on_commit is not None:
                event.listen(connection, "commit", config.on_commit)
            yield connection


def _bare(engine: Engine) -> Engine:
    # The same connections without the caller's options and listeners: one that emits BEGIN or
    # works in autocommit would make a run impossible or impossible to undo.
    return Engine(engine.pool, engine.dialect, engine.url)


@contextmanager
def _postgresql(connection: Connection, config: MigrationConfig) -> Iterator[None]:
    connection.execution_options(isolation_level="READ COMMITTED")
    left_transaction = False

    def begun(connection: Connection) -> None:
        nonlocal left_transaction
        if in_autocommit(connection):
            left_transaction = True
        else:
            milliseconds = int(config.table_lock_timeout * 1000)
            connection.execute(text(f"SET LOCAL lock_timeout = {milliseconds}"))
        if config.on_begin is not None:
            config.on_begin(connection)

    event.listen(connection, "begin", begun)
    yield
    if left_transaction and config.on_begin is not None:
        connection.invalidate()  # outside a transaction the scope was entered for good


@contextmanager
def _sqlite(connection: Connection, config: MigrationConfig) -> Iterator[None]:
    raw = cast(sqlite3.Connection, connection.connection.dbapi_connection)
    if raw.in_transaction:
        raise MigrationError(
            "The engine's connection has already begun a transaction.",
            "Nothing was run: whoever began it could undo the migrations.",
            "Commit or roll back first, or pass an engine of its own.",
        )
    level, raw.isolation_level = raw.isolation_level, None
    foreign_keys = raw.execute("PRAGMA foreign_keys").fetchone()[0]
    timeout = raw.execute("PRAGMA busy_timeout").fetchone()[0]
    # Rebuilding a table drops it, and dropping it deletes its children. The switch works only
    # outside a transaction: https://www.sqlite.org/lang_altertable.html#otheralter
    raw.execute("PRAGMA foreign_keys = OFF")
    raw.execute(f"PRAGMA busy_timeout = {int(config.lock_timeout * 1000)}")
    event.listen(connection, "begin", _begin_immediate)
    event.listen(connection, "commit", _check_foreign_keys)
    try:
        yield
    finally:
        if raw.in_transaction:
            raw.rollback()
        raw.execute(f"PRAGMA foreign_keys = {foreign_keys}")
        raw.execute(f"PRAGMA busy_timeout = {timeout}")
        raw.isolation_level = level


def _begin_immediate(connection: Connection) -> None:
    if not in_autocommit(connection):
        raw = cast(sqlite3.Connection, connection.connection.dbapi_connection)
        raw.isolation_level = None  # leaving an autocommit block sets the driver's own mode again
        raw.execute("BEGIN IMMEDIATE")


def _check_foreign_keys(connection: Connection) -> None:
    if in_autocommit(connection):
        return
    orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    if orphans:
        table, _, parent, _ = orphans[0]
        raise MigrationError(
            f"{len(orphans)} rows point to rows that are gone, the first from {table} to {parent}.",
            "The migration was undone: it would have broken a foreign key.",
            f"Make the migration keep the rows of {parent}, or remove those of {table} first.",
        )


def in_autocommit(connection: Connection) -> bool:
    """Whether each statement is committed by itself now."""
    return connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
