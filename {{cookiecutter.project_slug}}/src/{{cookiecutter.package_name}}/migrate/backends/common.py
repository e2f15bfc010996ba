"""Code that both databases share."""

import os
import platform
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import Connection, Engine

from .. import errors
from ..results import LockHolder

if TYPE_CHECKING:
    from alembic.operations import ops


@dataclass(frozen=True)
class EnumStatements:
    """The SQL that creates some enum types, and the SQL that drops them."""

    create: list[str] = field(default_factory=list)
    drop: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Online:
    """The operations of a new migration, with those that block others in a separate part.

    Attributes:
        inside: operations that run first, in a transaction.
        upgrade: operations that run afterwards, outside a transaction.
        downgrade: operations that undo ``upgrade``.
    """

    inside: "list[ops.MigrateOperation]" = field(default_factory=list)
    upgrade: "list[ops.MigrateOperation]" = field(default_factory=list)
    downgrade: "list[ops.MigrateOperation]" = field(default_factory=list)


class MigrationLock(Protocol):
    """The interface of both databases' locks."""

    def acquire(self) -> bool:
        """Take the lock if it is free; never waits.

        Raises:
            ActionableError: database-away, database-refuses or, on SQLite, cannot-lock.
        """

    def close_gate(self) -> bool:
        """Prevent instances from registering while the lock is held. Never waits.

        Returns:
            False if an instance is registering now.

        Raises:
            ActionableError: lock-lost.
        """

    def release(self) -> None:
        """Release the lock. Does nothing if it was not taken."""

    def verify(self) -> None:
        """Make sure that the lock is still held.

        Raises:
            ActionableError: lock-lost, for example after ``unlock --force``.
        """

    def holder(self) -> LockHolder | None:
        """The current holder of the lock.

        Raises:
            ActionableError: database-away, database-refuses.
        """

    def end_holder(self) -> LockHolder | None:
        """End the session that holds the lock; its transaction is undone.

        Raises:
            ActionableError: cannot-end-holder, on SQLite.
        """


def check_engine(engine: object, dialect: str, example: str) -> None:
    """Refuse an object that is not a synchronous Engine of this database.

    Raises:
        ActionableError: no-engine, wrong-driver.
    """
    if not isinstance(engine, Engine):
        raise errors.no_engine(type(engine).__name__)
    if engine.dialect.is_async or engine.dialect.name != dialect:
        raise errors.wrong_driver(engine.url.drivername, example)


def bare(engine: Engine) -> Engine:
    """The same connections without the caller's options and listeners.

    A listener that emits BEGIN, or autocommit, would make a run impossible, or impossible to undo.
    """
    return Engine(engine.pool, engine.dialect, engine.url, hide_parameters=engine.hide_parameters)


def writing(engine: Engine) -> AbstractContextManager[Connection]:
    """A connection that commits at the end of the block; on SQLite, each statement."""
    return bare(engine).begin()


def driver_connection(connection: Connection) -> Any:
    """The driver's own connection."""
    return connection.connection.driver_connection


def in_autocommit(connection: Connection) -> bool:
    """Whether each statement is committed by itself."""
    return connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"


def my_name() -> str:
    """The name of this process as a migrator."""
    return f"migrate on {platform.node()} pid {os.getpid()}"
