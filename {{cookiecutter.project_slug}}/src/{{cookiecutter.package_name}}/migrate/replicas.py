"""Who serves with this database now, where a table says so. Reads only."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, Engine, MetaData, String, Table, inspect, select

from .backends import backend
from .config import MigrationConfig
from .history import Utc

TABLE = Table(
    "service_instances",
    MetaData(),
    Column("id", String, primary_key=True),
    Column("service", String),
    Column("revision", String),
    Column("version", String),
    Column("host", String),
    Column("started_at", Utc),
    Column("beat_at", Utc),
)


@dataclass(frozen=True)
class Replica:
    """A process that serves, or did a short while ago.

    Attributes:
        revision: the last one of its migration files.
        version: of the service, where known.
        beat_at: when it was last heard of, by the database's clock.
    """

    id: str
    revision: str
    version: str | None
    host: str
    started_at: datetime
    beat_at: datetime


def read_replicas(engine: Engine, config: MigrationConfig) -> list[Replica] | None:
    """The replicas of this service by id; None where no table tells.

    Raises:
        ActionableError: the database does not answer.
    """
    shown = [column for column in TABLE.columns if column.name != "service"]
    mine = select(*shown).where(TABLE.c.service == config.service).order_by(TABLE.c.id)
    with backend.reading(engine, config.scope) as connection:
        if not inspect(connection).has_table(TABLE.name):
            return None
        return [Replica(**row) for row in connection.execute(mine).mappings()]
