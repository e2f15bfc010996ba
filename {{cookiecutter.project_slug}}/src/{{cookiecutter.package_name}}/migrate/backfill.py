"""Backfills: what a migration with ``phase = "backfill"`` states, and how far each one is.

The migration itself only writes a row into ``migration_progress``, in its own transaction; the rows
of the table are updated afterwards, see ``backfilling``.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Delete,
    Engine,
    Float,
    Insert,
    MetaData,
    RowMapping,
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
from sqlalchemy.schema import CreateTable

from . import errors
from .backends import backend
from .config import MigrationConfig
from .history import Utc
from .results import BackfillProgress, MigrationStatus

PHASE = "backfill"


@dataclass(frozen=True)
class Backfill:
    """An update of a whole table, that is done in small transactions after the migration.

    Each row that is there when it begins is updated once. Rows that are written later are left to
    the code that writes them, or to ``keep_in_step``.

    Attributes:
        table: the table's name.
        set: SQL for the new value, by column.
        where: SQL for the rows to update; all when left out.
        key: the column by which the table is walked through: NOT NULL, indexed, and an integer, a
            text or a UUID.
    """

    table: str
    set: Mapping[str, str]
    where: str = ""
    key: str = "id"


@cache
def progress_table() -> Table:
    """The table ``migration_progress``; the first backfill makes it."""
    return Table(
        "migration_progress",
        MetaData(),
        # Services that share a schema share the table.
        Column("service", String(64), primary_key=True),
        Column("revision", String(32), primary_key=True),
        Column("name", String(255), nullable=False),
        Column("table_name", String(255), nullable=False),
        # Keys as text: the last one that is done, and the last one to do.
        Column("cursor", Text),
        Column("until", Text),
        # Rows.
        Column("done", BigInteger, nullable=False),
        Column("total", BigInteger),
        # That it has taken so far.
        Column("seconds", Float, nullable=False),
        Column("started_at", Utc, nullable=False),
        Column("finished_at", Utc),
        # What stopped it the last time.
        Column("error", Text),
    )


def backfill_of(module: ModuleType) -> Backfill | None:
    """What a migration states, if it states a backfill."""
    found: Backfill | None = getattr(module, "backfill", None)
    return found


def check_backfill(path: Path, module: ModuleType) -> None:
    """Refuse a backfill that cannot be run.

    Raises:
        ActionableError: backfill-unusable.
    """
    stated = getattr(module, "backfill", None)
    if stated is None:
        return
    if not isinstance(stated, Backfill):
        raise errors.backfill_unusable(path, "backfill is no Backfill(…)")
    if getattr(module, "phase", None) != PHASE:
        raise errors.backfill_unusable(path, f"its phase is not {PHASE!r}")
    if not isinstance(stated.set, Mapping) or not stated.set:
        raise errors.backfill_unusable(path, "set names no column")
    if stated.key in stated.set:
        raise errors.backfill_unusable(path, f"it sets its key, {stated.key}")
    texts = (stated.table, stated.key, *stated.set, *stated.set.values())
    if not all(isinstance(one, str) and one.strip() for one in texts):
        raise errors.backfill_unusable(path, "table, key, columns and values must be texts")


def with_progress(module: ModuleType, name: str, body: Callable[..., None]) -> Callable[..., None]:
    """The ``upgrade`` or ``downgrade`` of a backfill, which also writes or removes its row."""
    stated = backfill_of(module)
    if stated is None:
        return body

    def run(**arguments: Any) -> None:
        from alembic import op

        from .alembic_bridge import current_service

        service = current_service()
        body(**arguments)
        op.execute(CreateTable(progress_table(), if_not_exists=True))
        op.execute(_forget(service, module.revision))
        if name == "upgrade":
            op.execute(_begin(service, module, stated))

    return run


def _forget(service: str, revision: str) -> Delete:
    progress = progress_table()
    return delete(progress).where(progress.c.service == service, progress.c.revision == revision)


def _begin(service: str, module: ModuleType, stated: Backfill) -> Insert:
    # An empty table is done at once: a new database needs no second run for what follows.
    has_rows = exists(select(text("1")).select_from(table(stated.table)))
    values: Mapping[str, Any] = {
        "service": literal(service),
        "revision": literal(module.revision),
        "name": literal(Path(str(module.__file__)).stem),
        "table_name": literal(stated.table),
        "done": literal(0),
        "seconds": literal(0.0),
        "started_at": func.current_timestamp(),
        "finished_at": case((has_rows, null()), else_=func.current_timestamp()),
    }
    return progress_table().insert().from_select(list(values), select(*values.values()))


def read_unfinished(engine: Engine, config: MigrationConfig) -> list[BackfillProgress]:
    """The backfills of this service that are applied and not finished, the oldest first.

    Raises:
        ActionableError: database-away, database-refuses.
    """
    progress = progress_table()
    with backend.reading(engine, config.scope) as connection:
        if not _is_there(connection):
            return []
        rows = connection.execute(
            select(progress)
            .where(progress.c.service == config.service, progress.c.finished_at.is_(None))
            .order_by(progress.c.started_at, progress.c.name)
        ).mappings()
        return [progress_of(row) for row in rows]


def progress_of(row: RowMapping) -> BackfillProgress:
    """What a row of the table says."""
    return BackfillProgress(
        migration=row["name"],
        revision=row["revision"],
        table=row["table_name"],
        done=row["done"],
        total=row["total"],
        seconds=row["seconds"],
        finished=row["finished_at"] is not None,
        error=row["error"],
    )


def with_backfills(
    engine: Engine, config: MigrationConfig, status: MigrationStatus
) -> MigrationStatus:
    """The status, with how far its backfills are. Asks nothing where none is applied."""
    if not has_backfills(migration.phase for migration in status.completed):
        return status
    return replace(status, backfills=tuple(read_unfinished(engine, config)))


def has_backfills(phases: Iterable[str]) -> bool:
    """Whether one of the applied migrations may have something left to do."""
    return PHASE in phases


def _is_there(connection: Connection) -> bool:
    return inspect(connection).has_table(progress_table().name)
