"""A tenant's session: the driver's connection, and the service's engine behind a pooler."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from my_service.database.backend import connect
from my_service.settings import Settings
from sqlalchemy.orm import Session

from engine.pooler import pgbouncer
from tenants.support import Service


def driver(session: Session) -> psycopg.Connection[Any]:
    """The driver's connection of a session."""
    connection = session.connection().connection.driver_connection
    assert isinstance(connection, psycopg.Connection)
    return connection


@contextmanager
def service_engine(service: Service, through: str, folder: Path) -> Iterator[sa.Engine]:
    """The service's engine, directly to the server or through PgBouncer in transaction mode."""
    address = service.engine.url.render_as_string(hide_password=False)
    if through == "direct":
        yield service.engine
        return
    service.engine.dispose()
    connections = 1 if through == "pooler of one" else 4
    with pgbouncer(address, folder, connections, in_turn=through == "pooler in turn") as behind:
        engine = connect(Settings(_env_file=None, environment="development", database_url=behind))
        yield engine
        engine.dispose()
