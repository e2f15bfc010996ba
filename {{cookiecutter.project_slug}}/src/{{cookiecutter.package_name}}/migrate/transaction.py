"""The connection that migrations run on: real transactions, on every database.

Alembic begins and commits, also in the middle of a run; what must hold around each of these
transactions hangs on the connection's own events.
"""

import os
import platform
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Connection, Engine, event, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from .results import MigrationError, cause
from .scope import Scope

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext

    from .config import MigrationConfig


@contextmanager
def reading(engine: Engine, scope: Scope | None = None) -> Iterator[Connection]:
    """A connection that takes no lock and leaves no transaction open.

    Raises:
        MigrationError: the database does not answer.
    """
    try:
        with _bare(engine).connect() as connection:
            _refuse_begun(connection)
            if engine.dialect.name != "sqlite":  # there, reading begins nothing
                connection.execution_options(isolation_level="READ COMMITTED")
            if scope is not None:
                scope.enter(connection)
            yield connection
    except SQLAlchemyError as error:
        raise cannot_reach(engine, error) from error


@contextmanager
def migrating(
    engine: Engine, config: "MigrationConfig", before_commit: Callable[[], None] = lambda: None
) -> Iterator[Connection]:
    """A connection on which nothing has begun yet.

    Args:
        before_commit: called before each commit; what it raises prevents the commit.

    Raises:
        MigrationError: the engine hands out connections with a transaction already begun.
    """
    with _bare(engine).connect() as connection:
        _refuse_begun(connection)
        prepare = _sqlite if engine.dialect.name == "sqlite" else _postgresql
        with prepare(connection, config):
            event.listen(connection, "commit", lambda _: before_commit())
            event.listen(connection, "commit", config.scope.commit)
            yield connection


def connect_apart(engine: Engine) -> Connection:
    """A connection that is not the pool's: that may have room for one, which the run needs."""
    apart = Engine(engine.pool.recreate(), engine.dialect, engine.url)
    return apart.connect().execution_options(isolation_level="READ COMMITTED")


def cannot_reach(
    engine: Engine, error: Exception, impact: str = "Nothing was run."
) -> MigrationError:
    """The error of a database that does not answer, or not as it should. Shows no password."""
    return MigrationError(
        f"The database {engine.url.render_as_string()} does not answer: {cause(error)}",
        impact,
        "Start it, or correct DATABASE_URL.",
    )


def my_name() -> str:
    """What this process is called wherever it migrates."""
    return f"migrate on {platform.node()} pid {os.getpid()}"


def _bare(engine: Engine) -> Engine:
    # The same connections without the caller's options and listeners: one that emits BEGIN or
    # works in autocommit would make a run impossible or impossible to undo.
    return Engine(engine.pool, engine.dialect, engine.url)


def _refuse_begun(connection: Connection) -> None:
    # It can be begun where all share one connection (StaticPool), or by a "connect" listener.
    raw: Any = connection.connection.dbapi_connection
    is_sqlite = connection.dialect.name == "sqlite"
    if raw.in_transaction if is_sqlite else raw.info.transaction_status:
        raise MigrationError(
            "The engine's connection has already begun a transaction.",
            "Nothing was run: whoever began it could undo the migrations.",
            "Commit or roll back first, or pass an engine of its own.",
        )


@contextmanager
def _postgresql(connection: Connection, config: "MigrationConfig") -> Iterator[None]:
    connection.execution_options(isolation_level="READ COMMITTED")
    left_transaction = False

    def begun(connection: Connection) -> None:
        nonlocal left_transaction
        if in_autocommit(connection):
            left_transaction = True
        else:
            milliseconds = int(config.table_lock_timeout * 1000)
            connection.execute(text(f"SET LOCAL lock_timeout = {milliseconds}"))
            # "unlock --force" finds by this name what it has to end.
            connection.execute(select(func.set_config("application_name", my_name(), True)))
            config.scope.begin(connection)
        config.scope.enter(connection)

    event.listen(connection, "begin", begun)
    try:
        yield
    finally:
        if left_transaction and config.scope.name:
            _forget(connection)


def _forget(connection: Connection) -> None:
    # Outside a transaction the scope was entered for good. A pooler may keep the server's side of
    # the connection, so that is reset as well.
    raw: Any = connection.connection.driver_connection
    with suppress(Exception):
        raw.rollback()
        raw.autocommit = True
        raw.execute("RESET ROLE")
        raw.execute("RESET ALL")
    connection.invalidate()


@contextmanager
def _sqlite(connection: Connection, config: "MigrationConfig") -> Iterator[None]:
    raw = cast(sqlite3.Connection, connection.connection.dbapi_connection)
    level, raw.isolation_level = raw.isolation_level, None
    foreign_keys = raw.execute("PRAGMA foreign_keys").fetchone()[0]
    timeout = raw.execute("PRAGMA busy_timeout").fetchone()[0]
    # Rebuilding a table drops it, and dropping it deletes its children. The switch works only
    # outside a transaction: https://www.sqlite.org/lang_altertable.html#otheralter
    raw.execute("PRAGMA foreign_keys = OFF")
    raw.execute(f"PRAGMA busy_timeout = {int(config.lock_timeout * 1000)}")
    event.listen(connection, "begin", _begin_immediate)
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


def check_foreign_keys(*, ctx: "MigrationContext", **_: object) -> None:
    """Alembic's ``on_version_apply`` hook: with foreign keys off, SQLite checks nothing itself.

    Raises:
        MigrationError: the migration left rows that point to none.
    """
    if ctx.as_sql or ctx.dialect.name != "sqlite":
        return
    assert ctx.connection is not None
    orphans = ctx.connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
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
