"""The table ``service_instances``: the serving processes, and the last revision of their files.

Times are the database's, and an age is the difference of two of them, since the clocks of machines
may differ. The first process that registers creates the table, not a migration.
"""

import platform
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from uuid import uuid4

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    delete,
    func,
    inspect,
    select,
    type_coerce,
    update,
)
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.schema import CreateTable

from .. import errors
from ..backends import backend
from ..backends.common import check_engine, writing
from ..config import MigrationConfig, default_config
from ..folder import CONTRACT, Folder
from ..history import Utc
from ..plan import DatabaseState, check_contracts_known, nothing_to_do, seen_by, state_on

TABLE = "service_instances"
GONE_AFTER_SECONDS = 60.0


@cache
def instances_table(schema: str | None) -> Table:
    """The table, in this schema or in the connection's default schema."""
    return Table(
        TABLE,
        MetaData(),
        Column("id", String(32), primary_key=True),
        # Services with the same schema share the table.
        Column("service", String(64), nullable=False),
        # The last revision of its files: it knows this one and all before it.
        Column("revision", String(255), nullable=False),
        Column("version", String(64)),
        Column("host", String(255), nullable=False),
        Column("started_at", Utc, nullable=False, server_default=func.current_timestamp()),
        Column("beat_at", Utc, nullable=False, server_default=func.current_timestamp()),
        # Distinguishes two beats within one second.
        Column("beats", Integer, nullable=False, server_default="0"),
        schema=schema,
    )


@dataclass(frozen=True)
class Instance:
    """A serving process.

    Attributes:
        revision: the last revision of its migration files.
        version: of the service, if known.
        age: seconds since its last beat, by the database's clock.
    """

    id: str
    revision: str
    version: str | None
    host: str
    started_at: datetime
    beat_at: datetime
    beats: int
    age: float

    @property
    def is_gone(self) -> bool:
        """Whether its last beat is so old that it counts as dead."""
        return self.age > GONE_AFTER_SECONDS

    def __str__(self) -> str:
        version = f"version {self.version}, " if self.version else ""
        return f"the instance on {self.host} ({version}revision {self.revision or 'none'})"


def get_instances(engine: Engine, *, config: MigrationConfig | None = None) -> list[Instance]:
    """The serving processes, oldest first, including dead ones that are not removed yet.

    Raises:
        ActionableError: database-away, database-refuses.
    """
    check_engine(engine, backend.DIALECT, backend.DRIVER)
    config = config or default_config()
    table = instances_table(config.scope.shared_schema)
    columns = [table.c[name] for name in Instance.__dataclass_fields__ if name != "age"]
    now = type_coerce(func.current_timestamp(), Utc).label("now")
    with backend.reading(engine, config.scope) as connection:
        if not _is_there(connection, table):
            return []
        rows = connection.execute(
            select(*columns, now)
            .where(table.c.service == config.service)
            .order_by(table.c.started_at, table.c.id)
        ).mappings()
        return [_instance(**row) for row in rows]


def remove_gone(engine: Engine, config: MigrationConfig) -> None:
    """Remove the instances that count as dead, unless they have beaten again meanwhile."""
    table = instances_table(config.scope.shared_schema)
    for instance in get_instances(engine, config=config):
        if instance.is_gone:
            seen = (table.c.id == instance.id, table.c.beats == instance.beats)
            with writing(engine) as connection:
                connection.execute(delete(table).where(*seen))


class Registration:
    """The registration of this process.

    Args:
        engine: for the row; its connections should be separate from the requests'.
    """

    def __init__(self, engine: Engine, config: MigrationConfig) -> None:
        self.id = uuid4().hex
        self._engine = engine
        self._config = config
        self._table = instances_table(config.scope.shared_schema)
        self._folder = Folder(config)

    def register(self) -> None:
        """Register. Call it before the first request is served.

        No contract runs meanwhile: an earlier one is in the history, which is read last;
        a later one finds this row.

        Raises:
            ActionableError: contract-unknown; cannot-register; lock-timeout, a contract runs.
            sqlalchemy.exc.SQLAlchemyError: the database does not answer.
        """
        try:
            try:
                self._register()
            except DBAPIError:  # two processes that create the table at once disturb each other
                self._register()
        except DBAPIError as error:
            if backend.is_forbidden(error):
                raise errors.cannot_register(TABLE, error) from error
            raise

    def _register(self) -> None:
        with backend.registering(self._engine, self._config) as connection:
            _make_table(connection, self._table)
            state = seen_by(self._folder, state_on(connection, self._config))
            connection.execute(
                self._table.insert().values(
                    id=self.id,
                    service=self._config.service,
                    revision=reach(self._folder, state),
                    version=self._config.load_release(),
                    host=platform.node(),
                )
            )
            check_all_contracts_known(self._folder, state)

    def beat(self) -> bool:
        """Send a heartbeat. False if the process counted as dead: then register again."""
        beats = {"beat_at": func.current_timestamp(), "beats": self._table.c.beats + 1}
        with writing(self._engine) as connection:
            statement = update(self._table).where(self._table.c.id == self.id).values(beats)
            return connection.execute(statement).rowcount > 0

    def remove(self) -> None:
        """Remove the registration.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database does not answer.
        """
        with writing(self._engine) as connection:
            connection.execute(delete(self._table).where(self._table.c.id == self.id))


def make_instances_table(engine: Engine, *, config: MigrationConfig | None = None) -> None:
    """Create the table of serving processes, if it is missing.

    Raises:
        ActionableError: database-away, database-refuses.
    """
    check_engine(engine, backend.DIALECT, backend.DRIVER)
    config = config or default_config()
    try:
        with writing(engine) as connection:
            _make_table(connection, instances_table(config.scope.shared_schema))
    except SQLAlchemyError as error:
        raise backend.explain(engine, error) from error


def _make_table(connection: Connection, table: Table) -> None:
    if not _is_there(connection, table):
        connection.execute(CreateTable(table, if_not_exists=True))


def reach(folder: Folder, state: DatabaseState) -> str:
    """The last revision of the files; several, separated by commas, if there are several heads."""
    if nothing_to_do(folder, state):  # needs no Alembic
        return state.history[-1].revision
    return ",".join(sorted(script.revision for script in folder.heads))


def check_all_contracts_known(folder: Folder, state: DatabaseState) -> None:
    """Refuse to serve from a schema from which a newer release has removed something.

    Raises:
        ActionableError: contract-unknown.
    """
    unsure = [
        row for row in state.history if row.phase == CONTRACT and row.name not in folder.paths
    ]
    if unsure:
        present = {script.revision for script in folder.scripts}
        check_contracts_known(row for row in unsure if row.revision not in present)


def _is_there(connection: Connection, table: Table) -> bool:
    return inspect(connection).has_table(table.name, schema=table.schema)


def _instance(now: datetime, beat_at: datetime, **values: object) -> Instance:
    age = (now - beat_at).total_seconds()
    return Instance(beat_at=beat_at, age=age, **values)  # type: ignore[arg-type]
