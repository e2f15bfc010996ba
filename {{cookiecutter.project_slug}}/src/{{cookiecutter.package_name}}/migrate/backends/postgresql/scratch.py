"""An empty database on the service's server, to try migrations in."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import SQLAlchemyError

from ..common import bare, driver_connection
from . import errors
from .connection import explain

# A killed process leaves its database behind; another process drops it after a day.
_NAME = text("SELECT 'scratch_' || extract(epoch FROM now())::bigint || '_' || :random")
_LEFT_BEHIND = text(
    "SELECT datname FROM pg_database JOIN pg_roles ON pg_roles.oid = datdba"
    r" WHERE rolname = current_user AND datname ~ '^scratch_\d+_[0-9a-f]{8}$'"
    " AND split_part(datname, '_', 2)::bigint < extract(epoch FROM now()) - 86400"
)


@contextmanager
def scratch(engine: Engine) -> Iterator[Engine]:
    """An engine for a new, empty database on the same server; it is dropped at the end.

    It is a copy of the server's ``template1``, as every new database. Its
    connections are made like this engine's. Locks, tables and transactions of the service's
    own database are not touched.

    Raises:
        ActionableError: no-scratch-database: the role may not create databases, or a pooler does
            not allow them; database-away, database-refuses.
    """
    name, parameters = _create(engine)
    made = create_engine(
        engine.url.set(database=name),
        creator=lambda: psycopg.connect(**parameters),
        hide_parameters=True,
    )
    event.listen(made, "connect", _hurry)
    try:
        try:
            made.connect().close()
        except SQLAlchemyError as error:
            raise errors.no_scratch_database(error) from error
        yield made
    finally:
        made.dispose()
        with suppress(SQLAlchemyError), _autocommit(engine) as connection:
            _drop(connection, name, force=True)


def _hurry(raw: Any, _record: object) -> None:
    """Let commits not wait for the disk: the database is dropped soon anyway."""
    raw.execute("SET synchronous_commit TO off")
    raw.commit()


@contextmanager
def _autocommit(engine: Engine) -> Iterator[Connection]:
    with bare(engine).connect() as connection:
        yield connection.execution_options(isolation_level="AUTOCOMMIT")


def _create(engine: Engine) -> tuple[str, dict[str, Any]]:
    """Create the database; return its name, and the arguments to connect to it."""
    try:
        with _autocommit(engine) as connection:
            for leftover in connection.scalars(_LEFT_BEHIND).all():
                with suppress(SQLAlchemyError):  # somebody is connected to it
                    _drop(connection, leftover)
            name: str = connection.execute(_NAME, {"random": secrets.token_hex(4)}).scalar_one()
            connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
            info = driver_connection(connection).info
            how = {**info.get_parameters(), "password": info.password, "dbname": name}
    except SQLAlchemyError as error:
        if isinstance(getattr(error, "orig", None), psycopg.errors.InsufficientPrivilege):
            raise errors.no_scratch_database(error) from error
        raise explain(engine, error) from error
    # Prepared statements do not survive PgBouncer's transaction mode.
    return name, {**how, "prepare_threshold": None}


def _drop(connection: Connection, name: str, *, force: bool = False) -> None:
    connection.exec_driver_sql(
        f'DROP DATABASE IF EXISTS "{name}"' + (" WITH (FORCE)" if force else "")
    )
