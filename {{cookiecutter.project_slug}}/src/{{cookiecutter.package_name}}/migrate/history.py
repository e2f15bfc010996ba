"""The table ``migration_history``: which migration was applied when, in which batch.

Alembic's ``alembic_version`` says what is applied; this table says the rest. A row is written in
the transaction of the migration it speaks of. Rolling back keeps the row and sets
``rolled_back_at``, so the table also tells the past.
"""

import hashlib
import time
from collections.abc import Iterable
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
    Float,
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
    Column("revision", String(32), nullable=False),
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


def adopt(connection: Connection, unrecorded: "Iterable[Script]", gone: set[str]) -> None:
    """Bring history in line with ``alembic_version`` after somebody else moved it.

    ``alembic stamp`` and a process that died inside ``transaction = False`` leave such gaps.
    """
    HISTORY.create(connection, checkfirst=True)
    run_id, batch = _next_numbers(connection)
    for script in unrecorded:
        row = _row(script, datetime.now(UTC), 0.0)
        connection.execute(insert(HISTORY).values(run_id=run_id, batch=batch, **row))
    if gone:
        connection.execute(_close(HISTORY.c.revision.in_(gone), datetime.now(UTC)))


def accept_change(connection: Connection, row: HistoryRow, path: Path) -> None:
    """Remember a file as it is now as the one that was applied."""
    changed = update(HISTORY).where(HISTORY.c.id == row.id).values(checksum=checksum(path))
    connection.execute(changed)


class HistoryWriter:
    """Alembic's ``on_version_apply`` hook: writes a row for each step, in the step's transaction.

    One writer serves one run: its rows share a run id and a batch.

    Attributes:
        done: revisions stepped over so far, in order; tells how far a failed run came.
        batch: the number of this run's batch, once a migration was applied.
    """

    def __init__(self) -> None:
        self.done: list[str] = []
        self.batch: int | None = None
        self._run_id: int | None = None
        self._watch()

    def _watch(self) -> None:
        self._started_at = datetime.now(UTC)
        self._clock = time.perf_counter()

    def __call__(self, *, ctx: "MigrationContext", step: "MigrationInfo", **_: object) -> None:
        if step.is_stamp:
            return  # the engine's next run adopts what was stamped
        script: Any = step.up_revision
        if ctx.as_sql:
            self._print(ctx, script, step.is_upgrade)
        else:
            self._write(ctx, script, step.is_upgrade)
        self.done.append(script.revision)
        self._watch()

    def _write(self, ctx: "MigrationContext", script: "Script", is_upgrade: bool) -> None:
        assert ctx.connection is not None
        if self._run_id is None:
            HISTORY.create(ctx.connection, checkfirst=True)
            self._run_id, batch = _next_numbers(ctx.connection)
            self.batch = batch if is_upgrade else None
        if is_upgrade:
            row = _row(script, self._started_at, time.perf_counter() - self._clock)
            numbers = {"run_id": self._run_id, "batch": self.batch}
            ctx.connection.execute(insert(HISTORY).values(numbers | row))
        else:
            undone = HISTORY.c.revision == script.revision
            ctx.connection.execute(_close(undone, datetime.now(UTC)))

    def _print(self, ctx: "MigrationContext", script: "Script", is_upgrade: bool) -> None:
        # Nobody knows the numbers before the script is run, so it finds them itself.
        now = func.current_timestamp()
        if is_upgrade:
            if not self.done:
                ctx.execute(CreateTable(HISTORY, if_not_exists=True))
            first = 0 if self.done else 1
            numbers = {
                "run_id": _highest_run() + first,
                "batch": _highest_batch() + first,
            }
            ctx.execute(insert(HISTORY).values(numbers | _row(script, now, 0.0)))
        else:
            ctx.execute(_close(HISTORY.c.revision == script.revision, now))


def _row(script: "Script", started_at: Any, duration: float) -> dict[str, Any]:
    path = Path(script.path)
    return {
        "revision": script.revision,
        "name": path.stem,
        "checksum": checksum(path),
        "started_at": started_at,
        "duration": duration,
    }


def _close(which: ColumnElement[bool], now: Any) -> Update:
    return (
        update(HISTORY).where(which, HISTORY.c.rolled_back_at.is_(None)).values(rolled_back_at=now)
    )


def _highest_run() -> ColumnElement[int]:
    return select(func.coalesce(func.max(HISTORY.c.run_id), 0)).scalar_subquery()


def _highest_batch() -> ColumnElement[int]:
    applied = HISTORY.c.rolled_back_at.is_(None)
    return select(func.coalesce(func.max(HISTORY.c.batch), 0)).where(applied).scalar_subquery()


def _next_numbers(connection: Connection) -> tuple[int, int]:
    run_id, batch = connection.execute(select(_highest_run() + 1, _highest_batch() + 1)).one()
    return run_id, batch
