"""Backfills: the declaration in a migration with ``phase = "backfill"``, and the progress.

The migration itself only writes a row into ``migration_progress``, in its own transaction; the rows
of the table are updated afterwards, see ``backfilling``.

With tenants there is a row for each tenant, in one table of the shared schema, so that one query
gives the progress of all; ``tenants.backfills`` explains how these rows are written.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Float,
    Insert,
    MetaData,
    String,
    Table,
    Text,
    case,
    delete,
    exists,
    func,
    inspect,
    literal,
    null,
    select,
    table,
    text,
)
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.schema import CreateTable

from . import errors
from .backends import backend
from .backends.common import writing
from .config import MigrationConfig
from .history import Utc
from .results import BackfillProgress, MigrationStatus
from .scope import Fills

PHASE = "backfill"
TABLE = "migration_progress"


@dataclass(frozen=True)
class Backfill:
    """An update of a whole table, in small transactions after the migration.

    Each row that exists at its start is updated once. Rows that are written later must be filled in
    by the code that writes them, or by ``keep_in_step``.

    Attributes:
        table: the table's name.
        set: SQL for the new value, by column.
        where: SQL condition for the rows to update; default: all rows.
        key: the column that gives the order of the chunks: NOT NULL, indexed, and an integer, a
            text or a UUID.
    """

    table: str
    set: Mapping[str, str]
    where: str = ""
    key: str = "id"

    def __post_init__(self) -> None:
        if isinstance(self.set, Mapping):  # a copy, so that no code changes it between two tenants
            object.__setattr__(self, "set", MappingProxyType(dict(self.set)))

    def update(self, condition: str) -> str:
        """The UPDATE of the rows that meet a condition, for SQLAlchemy's ``text``."""
        values = ", ".join(
            f"{quoted(column)} = {literally(value)}" for column, value in self.set.items()
        )
        where = f" AND ({literally(self.where)})" if self.where else ""
        return f"UPDATE {quoted(self.table)} SET {values} WHERE {condition}{where}"


@cache
def progress_table(schema: str | None) -> Table:
    """The table, in this schema or in the connection's default schema."""
    return Table(
        TABLE,
        MetaData(),
        # Services with the same schema share the table.
        Column("service", String(64), primary_key=True),
        Column("revision", String(32), primary_key=True),
        # The tenant whose rows are updated; "" for none.
        Column("tenant", String(63), primary_key=True),
        Column("name", String(255), nullable=False),
        Column("table_name", String(255), nullable=False),
        # Keys as text: the last finished one, and the last one to do.
        Column("cursor", Text),
        Column("until", Text),
        # Rows.
        Column("done", BigInteger, nullable=False),
        Column("total", BigInteger),
        # Seconds of work so far.
        Column("seconds", Float, nullable=False),
        Column("started_at", Utc, nullable=False),
        Column("finished_at", Utc),
        # The error that stopped it.
        Column("error", Text),
        schema=schema,
    )


def backfill_of(module: ModuleType) -> Backfill | None:
    """The backfill that a migration declares, if any."""
    found: Backfill | None = getattr(module, "backfill", None)
    return found


def check_backfill(path: Path, module: ModuleType) -> None:
    """Refuse a backfill that cannot be run.

    Raises:
        ActionableError: backfill-unusable.
    """
    backfill = getattr(module, "backfill", None)
    if backfill is None:
        return
    if not isinstance(backfill, Backfill):
        raise errors.backfill_unusable(path, "backfill is not a Backfill(…)")
    if getattr(module, "phase", None) != PHASE:
        raise errors.backfill_unusable(path, f"its phase is not {PHASE!r}")
    if not isinstance(backfill.set, Mapping) or not backfill.set:
        raise errors.backfill_unusable(path, "set names no column")
    if backfill.key in backfill.set:
        raise errors.backfill_unusable(path, f"it sets its key, {backfill.key}")
    texts = (backfill.table, backfill.key, *backfill.set, *backfill.set.values())
    if not all(isinstance(one, str) and one.strip() for one in texts):
        raise errors.backfill_unusable(path, "table, key, columns and values must be texts")


def with_progress(module: ModuleType, name: str, body: Callable[..., None]) -> Callable[..., None]:
    """The ``upgrade`` or ``downgrade`` of a backfill, which also writes or removes its row."""
    backfill = backfill_of(module)
    if backfill is None:
        return body

    def upgrade(**arguments: Any) -> None:
        from alembic import op

        from .alembic_bridge import current_fills

        body(**arguments)
        fills = current_fills()
        every_row = f"{quoted(backfill.key)} IS NOT NULL"
        if fills is Fills.LATER:
            _write_row(module, backfill)
        elif fills is Fills.AT_ONCE:
            op.execute(text(backfill.update(every_row)))
        elif fills is Fills.NEVER:
            op.execute(text(f"EXPLAIN {backfill.update(every_row)}"))

    def downgrade(**arguments: Any) -> None:
        from .alembic_bridge import current_fills

        # Before the body: a process that works on the backfill also locks first the row, then the
        # table.
        if current_fills() is Fills.LATER:
            _write_row(module, None)
        body(**arguments)

    return upgrade if name == "upgrade" else downgrade


def _write_row(module: ModuleType, backfill: Backfill | None) -> None:
    """Replace the row; without ``stated``, remove it."""
    from alembic import op

    from .alembic_bridge import current_scope, current_service

    service, progress = current_service(), progress_table(current_scope().shared_schema)
    op.execute(CreateTable(progress, if_not_exists=True))
    op.execute(
        delete(progress).where(
            progress.c.service == service,
            progress.c.revision == module.revision,
            progress.c.tenant == "",
        )
    )
    if backfill:
        op.execute(_begin(service, module, backfill, progress))


def _begin(service: str, module: ModuleType, backfill: Backfill, progress: Table) -> Insert:
    # An empty table is finished at once: a new database needs no second run for later
    # migrations.
    has_rows = exists(select(text("1")).select_from(table(backfill.table)))
    values: Mapping[str, Any] = {
        "service": literal(service),
        "revision": literal(module.revision),
        "tenant": literal(""),
        "name": literal(Path(str(module.__file__)).stem),
        "table_name": literal(backfill.table),
        "done": literal(0),
        "seconds": literal(0.0),
        "started_at": func.current_timestamp(),
        "finished_at": case((has_rows, null()), else_=func.current_timestamp()),
    }
    return progress.insert().from_select(list(values), select(*values.values()))


def make_progress_table(engine: Engine, schema: str | None) -> None:
    """Create the table, if it is missing.

    Raises:
        ActionableError: database-away, database-refuses.
    """
    table = progress_table(schema)
    try:
        try:
            _make(engine, table)
        except DBAPIError:  # two processes that create it at once disturb each other
            _make(engine, table)
    except SQLAlchemyError as error:
        raise backend.explain(engine, error) from error


def _make(engine: Engine, table: Table) -> None:
    with writing(engine) as connection:
        if not has_progress(connection, table):
            connection.execute(CreateTable(table, if_not_exists=True))


def read_unfinished(engine: Engine, config: MigrationConfig) -> list[BackfillProgress]:
    """The unfinished backfills of this service, oldest first.

    Raises:
        ActionableError: database-away, database-refuses.
    """
    return [one for one in read_progress(engine, config) if not one.finished]


def read_progress(
    engine: Engine, config: MigrationConfig, revision: str | None = None
) -> list[BackfillProgress]:
    """All backfills of this service, or the one of this revision; each summed over all tenants.

    Raises:
        ActionableError: database-away, database-refuses.
    """
    rows = progress_table(config.scope.shared_schema)
    what = (rows.c.name, rows.c.revision, rows.c.table_name)
    sums = (
        func.sum(rows.c.done),
        case((func.count(rows.c.total) == func.count(), func.sum(rows.c.total)), else_=null()),
        func.sum(rows.c.seconds),
        func.count(rows.c.finished_at),
        func.count(),
        func.count(func.nullif(rows.c.tenant, "")),
        func.min(rows.c.error),
    )
    wanted = [rows.c.service == config.service]
    if revision is not None:
        wanted.append(rows.c.revision == revision)
    query = select(*what, *sums).where(*wanted).group_by(*what)
    with backend.reading(engine, config.scope) as connection:
        if not has_progress(connection, rows):
            return []
        found = connection.execute(query.order_by(func.min(rows.c.started_at), rows.c.name)).all()
    return [_sum(*row) for row in found]


def _sum(
    name: str,
    revision: str,
    table: str,
    done: int,
    total: int | None,
    seconds: float,
    finished: int,
    schemas: int,
    tenants: int,
    error: str | None,
) -> BackfillProgress:
    return BackfillProgress(
        migration=name,
        revision=revision,
        table=table,
        done=int(done),
        total=None if total is None else int(total),
        seconds=seconds,
        finished=finished == schemas,
        error=error,
        tenants=tenants,
        tenants_left=schemas - finished if tenants else 0,
    )


def read_left(engine: Engine, config: MigrationConfig, revision: str) -> list[dict[str, Any]]:
    """The unfinished rows of progress of this backfill, by tenant.

    Raises:
        ActionableError: database-away, database-refuses.
    """
    rows = progress_table(config.scope.shared_schema)
    of_backfill = (rows.c.service == config.service, rows.c.revision == revision)
    left = select(rows).where(*of_backfill, rows.c.finished_at.is_(None)).order_by(rows.c.tenant)
    with backend.reading(engine, config.scope) as connection:
        return [dict(row) for row in connection.execute(left).mappings()]


def with_backfills(
    engine: Engine, config: MigrationConfig, status: MigrationStatus
) -> MigrationStatus:
    """The status with the progress of its backfills. Without one it sends no query."""
    if not has_backfills(migration.phase for migration in status.completed):
        return status
    return replace(status, backfills=tuple(read_unfinished(engine, config)))


def has_backfills(phases: Iterable[str]) -> bool:
    """Whether one of the applied migrations may have an unfinished backfill."""
    return PHASE in phases


def has_progress(connection: Connection, table: Table) -> bool:
    """Whether the table exists."""
    return inspect(connection).has_table(table.name, schema=table.schema)


def quoted(name: str) -> str:
    """A quoted name for SQLAlchemy's ``text``."""
    return '"' + literally(name.replace('"', '""')) + '"'


def literally(sql: str) -> str:
    """SQL in which no ``:name`` is a parameter."""
    return sql.replace(":", r"\:")
