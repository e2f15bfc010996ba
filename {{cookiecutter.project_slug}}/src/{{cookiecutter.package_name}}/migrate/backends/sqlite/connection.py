"""Connections to SQLite: for reading, and for migrating in real transactions."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ....errors import ActionableError
from ... import errors
from ...config import MigrationConfig
from ...scope import Scope
from ..common import bare, driver_connection, in_autocommit

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext

# Orphaned rows, counted by their table and the referenced table.
Orphans = Counter[tuple[str, str]]

_REFUSALS = {
    "readonly": "Make the file and its folder writable for this user.",
    "unable to open": "Create the folder, and let this user write to it.",
    "disk is full": "Free space on the disk.",
    "not a database": "Correct DATABASE_URL: the file is not a SQLite database.",
    "malformed": "Restore the file from a backup: it is damaged.",
}


@contextmanager
def reading(engine: Engine, scope: Scope | None = None) -> Iterator[Connection]:
    """A connection that takes no lock and leaves no transaction open.

    Raises:
        ActionableError: database-away, database-refuses, transaction-begun.
    """
    try:
        with _connected(engine) as connection:
            yield connection
    except SQLAlchemyError as error:
        raise explain(engine, error) from error


def column_names(connection: Connection, table: str) -> frozenset[str]:
    """Names of a table's columns; none if it does not exist."""
    quoted = connection.dialect.identifier_preparer.quote_identifier(table)
    rows = connection.exec_driver_sql(f"PRAGMA main.table_info({quoted})")
    return frozenset(row.name for row in rows)


def explain(engine: Engine, error: SQLAlchemyError) -> ActionableError:
    """The error for a database that cannot be opened, or refuses."""
    address = engine.url.render_as_string()
    if (solution := refusal(error)) is not None:
        return errors.database_refuses(address, error, solution)
    return errors.database_away(address, error)


def refusal(error: BaseException) -> str | None:
    """What to do if the database refuses any statement, for example because the disk is full."""
    said = str(getattr(error, "orig", ""))
    return next((solution for words, solution in _REFUSALS.items() if words in said), None)


def may_pass(error: SQLAlchemyError) -> bool:
    """Whether a retry may succeed a moment later: another connection has the lock."""
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", sqlite3.SQLITE_OK)
    return code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_lost(error: SQLAlchemyError) -> bool:
    """Whether the connection was lost: never, a file has none."""
    return False


def timed_out(error: BaseException) -> bool:
    """Whether a statement reached the time limit for a table's lock: SQLite has no such locks."""
    return False


def was_interrupted(error: BaseException) -> bool:
    """Whether a signal ended the statement: SQLite's driver drops the KeyboardInterrupt itself."""
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", None)
    return code == sqlite3.SQLITE_INTERRUPT


def is_there_already(error: BaseException) -> bool:
    """Whether a statement tried to create an existing object."""
    return isinstance(error, DBAPIError) and str(error.orig).endswith("already exists")


def is_forbidden(error: SQLAlchemyError) -> bool:
    """Whether the database allows no writes, or none by this user."""
    return "readonly" in str(getattr(error, "orig", ""))


def ended_transaction(connection: Connection) -> bool:
    """Whether the transaction is no longer open because the body ended it."""
    return not driver_connection(connection).in_transaction


@contextmanager
def migrating(
    engine: Engine, config: MigrationConfig, before_commit: Callable[[], None] = lambda: None
) -> Iterator[Connection]:
    """A connection without an open transaction. Foreign keys are off, as rebuilds require.

    Args:
        before_commit: called before each commit; if it raises, nothing is committed.

    Raises:
        ActionableError: transaction-begun.
    """
    with _connected(engine) as connection, _prepared(connection, config):
        event.listen(connection, "begin", begin_immediate)
        event.listen(connection, "commit", lambda _: before_commit())
        yield connection


@contextmanager
def chunk(
    engine: Engine, _config: MigrationConfig, before_commit: Callable[[], None]
) -> Iterator[Connection]:
    """The transaction of one chunk of a backfill.

    It has the write lock from its start. Foreign keys are checked as usual.

    Args:
        before_commit: called before the commit; if it raises, nothing is committed.
    """
    with bare(engine).connect() as connection, connection.begin():
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection
        before_commit()


@contextmanager
def _prepared(connection: Connection, config: MigrationConfig) -> Iterator[None]:
    raw: sqlite3.Connection = driver_connection(connection)
    level, raw.isolation_level = raw.isolation_level, None
    foreign_keys = raw.execute("PRAGMA foreign_keys").fetchone()[0]
    timeout = raw.execute("PRAGMA busy_timeout").fetchone()[0]
    # Rebuilding a table drops it, and that deletes rows that refer to it. The switch works only
    # outside a transaction: https://www.sqlite.org/lang_altertable.html#otheralter
    raw.execute("PRAGMA foreign_keys = OFF")
    raw.execute(f"PRAGMA busy_timeout = {int(config.lock_timeout * 1000)}")
    try:
        yield
    finally:
        if raw.in_transaction:
            raw.rollback()
        raw.execute(f"PRAGMA foreign_keys = {foreign_keys}")
        raw.execute(f"PRAGMA busy_timeout = {timeout}")
        raw.isolation_level = level


def begin_immediate(connection: Connection) -> None:
    """Take the write lock, unless each statement is committed by itself."""
    if not in_autocommit(connection):
        raw: sqlite3.Connection = driver_connection(connection)
        raw.isolation_level = None  # leaving an autocommit block sets the driver's own mode again
        raw.execute("BEGIN IMMEDIATE")


@contextmanager
def _connected(engine: Engine) -> Iterator[Connection]:
    with bare(engine).connect() as connection:
        # It can have begun if all share one connection (StaticPool), or by a "connect" listener.
        if driver_connection(connection).in_transaction:
            raise errors.transaction_begun()
        yield connection


@contextmanager
def row_checks(connection: Connection) -> Iterator[Callable[..., None]]:
    """Alembic's ``on_version_apply`` hook: SQLite does not check foreign keys while they are off.

    Rows that were orphaned before do not count, since this run did not cause them. The hook
    raises orphaned-rows.
    """
    before = _orphans(connection)

    def check(*, ctx: "MigrationContext", **_: object) -> None:
        nonlocal before
        if not isinstance(ctx.bind, Connection):  # SQL is only printed
            return
        after = _orphans(ctx.bind)
        made, gone = after - before, before - after
        # A renamed table keeps its orphans; orphans removed from other tables do not compensate.
        declared = _foreign_keys(ctx.bind)
        number = made.total() - sum(rows for key, rows in gone.items() if key not in declared)
        if number > 0:
            table, parent = next(iter(made))
            raise errors.orphaned_rows(number, table, parent, after.total() - number)
        before = after

    yield check


def _foreign_keys(connection: Connection) -> set[tuple[str, str]]:
    """Each table with a foreign key, and the referenced table."""
    keys = """SELECT t.name, k."table" FROM sqlite_schema t, pragma_foreign_key_list(t.name) k"""
    return set(driver_connection(connection).execute(keys))


def _orphans(connection: Connection) -> Orphans:
    rows = driver_connection(connection).execute("PRAGMA foreign_key_check")
    return Counter((table, parent) for table, _, parent, _ in rows)
