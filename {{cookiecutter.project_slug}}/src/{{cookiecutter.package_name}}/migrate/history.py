"""The table ``migration_history``: which migration was applied when, in which batch.

Alembic's ``alembic_version`` says what is applied; this table says the rest. A row is written in
the transaction of the migration it speaks of. Rolling back keeps the row and sets
``rolled_back_at``, so the table also tells the past.
"""

import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Dialect,
    Executable,
    Float,
    Insert,
    Integer,
    MetaData,
    String,
    Table,
    Update,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.schema import CreateTable
from sqlalchemy.types import TypeDecorator

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext, MigrationInfo
    from alembic.script import Script

TABLE_NAME = "migration_history"
VERSION_TABLE = "alembic_version"
REVISION_LENGTH = 32  # of Alembic's column version_num

Execute = Callable[[Executable], object]


class _Utc(TypeDecorator[datetime]):
    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


HISTORY = Table(
    TABLE_NAME,
    MetaData(),
    Column("id", Integer, primary_key=True),
    # The run of the engine; a number is never used again.
    Column("run_id", Integer, nullable=False),
    # Knex's number: one above the highest that is still applied.
    Column("batch", Integer, nullable=False),
    Column("revision", String(REVISION_LENGTH), nullable=False),
    Column("name", String(255), nullable=False),
    # SHA-256 of the file as it was when applied, line ends aside.
    Column("checksum", String(64), nullable=False),
    Column("started_at", _Utc, nullable=False),
    # Seconds.
    Column("duration", Float, nullable=False),
    Column("rolled_back_at", _Utc),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True)
class HistoryRow:
    """A migration that is applied now."""

    id: int
    batch: int
    revision: str
    name: str
    checksum: str
    started_at: datetime
    duration: float


def checksum(path: Path) -> str:
    """SHA-256 of a file's text, the same on a checkout with other line ends."""
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


def read_history(connection: Connection) -> list[HistoryRow]:
    """Rows of what is applied now, in the order in which it was."""
    if not inspect(connection).has_table(TABLE_NAME):
        return []
    columns = [HISTORY.c[name] for name in HistoryRow.__dataclass_fields__]
    applied = select(*columns).where(HISTORY.c.rolled_back_at.is_(None)).order_by(HISTORY.c.id)
    return [HistoryRow(*row) for row in connection.execute(applied)]


def read_heads(connection: Connection) -> set[str]:
    """What Alembic says is applied."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return set()
    return set(connection.scalars(text(f"SELECT version_num FROM {VERSION_TABLE}")))


def adopt(execute: Execute, unrecorded: "Iterable[Script]", gone: set[str]) -> None:
    """Bring history in line with ``alembic_version`` after somebody else moved it.

    ``alembic stamp`` leaves such gaps. What is adopted becomes a batch of its own.
    """
    execute(CreateTable(HISTORY, if_not_exists=True))
    for place, script in enumerate(unrecorded):
        execute(_applied(script, func.current_timestamp(), 0.0, opens_batch=place == 0))
    if gone:
        execute(_undone(HISTORY.c.revision.in_(gone), func.current_timestamp()))


def accept_change(connection: Connection, row: HistoryRow, path: Path) -> None:
    """Remember a file as it is now as the one that was applied."""
    changed = update(HISTORY).where(HISTORY.c.id == row.id).values(checksum=checksum(path))
    connection.execute(changed)


class HistoryWriter:
    """Alembic's ``on_version_apply`` hook: writes a row for each step, in the step's transaction.

    One writer serves one run: its rows share a run id and a batch.

    Attributes:
        done: revisions stepped over so far, in order; tells how far a failed run came.
    """

    def __init__(self) -> None:
        self.done: list[str] = []
        self._watch()

    def _watch(self) -> None:
        self._started_at = datetime.now(UTC)
        self._clock = time.perf_counter()

    def __call__(self, *, ctx: "MigrationContext", step: "MigrationInfo", **_: object) -> None:
        if step.is_stamp:
            return  # the engine's next run adopts what was stamped
        script: Any = step.up_revision
        # What is printed runs later, who knows when.
        now: Any = func.current_timestamp() if ctx.as_sql else datetime.now(UTC)
        if not self.done:
            ctx.execute(CreateTable(HISTORY, if_not_exists=True))
        if step.is_upgrade:
            started_at = now if ctx.as_sql else self._started_at
            duration = 0.0 if ctx.as_sql else time.perf_counter() - self._clock
            ctx.execute(_applied(script, started_at, duration, opens_batch=not self.done))
        else:
            ctx.execute(_undone(HISTORY.c.revision == script.revision, now))
        self.done.append(script.revision)
        self._watch()


def _applied(script: "Script", started_at: Any, duration: float, *, opens_batch: bool) -> Insert:
    # The numbers are the database's to find, so that the same statement can also be printed.
    still_applied = HISTORY.c.rolled_back_at.is_(None)
    step = 1 if opens_batch else 0
    path = Path(script.path)
    return insert(HISTORY).values(
        run_id=_highest(HISTORY.c.run_id) + step,
        batch=_highest(HISTORY.c.batch, still_applied) + step,
        revision=script.revision,
        name=path.stem,
        checksum=checksum(path),
        started_at=started_at,
        duration=duration,
    )


def _undone(which: ColumnElement[bool], now: Any) -> Update:
    still_applied = HISTORY.c.rolled_back_at.is_(None)
    return update(HISTORY).where(which, still_applied).values(rolled_back_at=now)


def _highest(number: Column[int], *which: ColumnElement[bool]) -> ColumnElement[int]:
    return select(func.coalesce(func.max(number), 0)).where(*which).scalar_subquery()
