"""Connections of the replaying threads."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Engine


class RenewedConnections:
    """Private connections to the engine's database, each renewed after some tenants.

    A server process caches data about each table that it uses; after hundreds of schemas it is
    large.

    Args:
        tenants_each: number of tenants per connection.
    """

    def __init__(self, engine: Engine, tenants_each: int) -> None:
        self._pool = engine.pool.recreate()
        self._tenants_each = tenants_each

    @contextmanager
    def for_worker(self) -> Iterator[Callable[[], "psycopg.Connection[Any]"]]:
        """A function that returns this worker's connection for the next tenant."""
        session: Any = None
        tenants = 0

        def checkout() -> "psycopg.Connection[Any]":
            nonlocal session, tenants
            if session is None or tenants >= self._tenants_each or session.driver_connection.closed:
                if session is not None:
                    session.invalidate()
                session, tenants = self._pool.connect(), 0
                session.driver_connection.autocommit = True
            tenants += 1
            connection: psycopg.Connection[Any] = session.driver_connection
            return connection

        try:
            yield checkout
        finally:
            if session is not None:
                session.invalidate()
