"""Sessions, and the check that the database answers."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import Engine, StaticPool, text
from sqlalchemy.orm import Session

from .backend import LOOK_UP


def ping(engine: Engine) -> None:
    """Ask the database for one row.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database does not answer.
    """
    with engine.execution_options(read_only=True).connect() as connection:
        connection.execute(text("SELECT 1"))


def apart(engine: Engine) -> Engine:
    """The same database with a separate pool, because the connections of the pool may all be in use.

    Each statement is a separate transaction.
    """
    if isinstance(engine.pool, StaticPool):  # SQLite in memory: the database is its connection
        return engine
    return Engine(
        engine.pool.recreate(),
        engine.dialect,
        engine.url,
        hide_parameters=True,
        execution_options={"isolation_level": "AUTOCOMMIT"},
    )


def open_session(engine: Engine, *, read_only: bool = False) -> Session:
    """A session for a ``with`` block. Call ``session.commit()`` to keep the changes.

    Args:
        read_only: the session only reads; SQLite then takes no write lock.
    """
    return Session(_reading(engine) if read_only else engine, expire_on_commit=False)


def begin_look_up(session: Session, options: Mapping[str, Any] = LOOK_UP) -> None:
    """Begin a transaction for one statement that reads, in the cheapest way of the database.

    It leaves nothing on the connection, so the pool does not need to clean it. A transaction that
    has begun continues unchanged.
    """
    if not session.in_transaction():
        session.connection(execution_options=options).info["looked_up"] = True


@lru_cache(maxsize=2)
def _reading(engine: Engine) -> Engine:
    return engine.execution_options(read_only=True)
