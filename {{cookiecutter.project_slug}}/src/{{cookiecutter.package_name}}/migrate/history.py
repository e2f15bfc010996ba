"""The table ``migration_history``: the time and the batch of each applied migration.

Alembic's ``alembic_version`` has the current revision; this table has the rest. A row is written in
the transaction of its migration. A rollback keeps the row and sets
``rolled_back_at``, so the table also shows the past.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Dialect,
    Float,
    Identity,
    Insert,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    Update,
    func,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.schema import CreateColumn, CreateTable
from sqlalchemy.types import TypeDecorator

from . import errors
from .backends import backend
from .checksum import checksum
from .config import MigrationConfig

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext, MigrationInfo
    from alembic.script import Script

    Target = Connection | MigrationContext  # executes statements; Alembic's may print them

REVISION_LENGTH = 32  # of Alembic's column version_num
BASELINE = 0  # the batch of migrations that the engine did not run; never rolled back
DEFAULT_PHASE = "expand"


class Utc(TypeDecorator[datetime]):
    """A time in UTC. SQLite stores no zone; its values are UTC too."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


@cache
def history_table(name: str) -> Table:
    """The table, with the name in the configuration."""
    return Table(
        name,
        MetaData(),
        # No SERIAL: Citus makes none in a new schema, unless a superuser asks.
        Column("id", Integer, Identity(), primary_key=True),
        # The number of the engine's run; a number is never reused.
        Column("run_id", Integer, nullable=False),
        # Knex's number: the highest applied batch plus one.
        Column("batch", Integer, nullable=False),
        Column("revision", String(REVISION_LENGTH), nullable=False),
        Column("name", String(255), nullable=False),
        Column("checksum", String(64), nullable=False),
        Column("started_at", Utc, nullable=False),
        # Seconds.
        Column("duration", Float, nullable=False),
        Column("rolled_back_at", Utc),
        # Version 0.1.0 had the columns above. A run adds the columns below if they are missing.
        Column("phase", String(16), server_default=DEFAULT_PHASE, nullable=False),
        Column("service", String(64)),
        Column("release", String(64)),
        Column("fingerprint", String(64)),
        Column("note", Text),
        # JSON: details of the run, see ``runner``; later runs without rows of their own, see
        # ``other_runs``.
        Column("details", Text),
        Column("other_runs", Text),
        sqlite_autoincrement=True,
    )


_COLUMNS = history_table("").columns.keys()
ALL_COLUMNS = frozenset(_COLUMNS)
FIRST_COLUMNS = frozenset(_COLUMNS[: _COLUMNS.index("phase")])


@dataclass(frozen=True)
class HistoryRow:
    """An applied migration.

    Attributes:
        batch: its batch, or ``BASELINE`` if the engine did not run it.
        release: version of the service that applied it, if known.
    """

    id: int
    batch: int
    revision: str
    name: str
    checksum: str
    started_at: datetime
    duration: float
    phase: str = DEFAULT_PHASE
    service: str | None = None
    release: str | None = None
    fingerprint: str | None = None

    @property
    def with_release(self) -> str:
        """Its name, with the release that applied it, if known."""
        return f"{self.name} (release {self.release})" if self.release else self.name


def read_columns(connection: Connection, config: MigrationConfig) -> frozenset[str]:
    """Names of the history table's columns; none if there is no table.

    Raises:
        ActionableError: foreign-history-table.
    """
    columns = backend.column_names(connection, config.history_table)
    if columns and not columns >= FIRST_COLUMNS:
        raise errors.foreign_history_table(config.history_table, FIRST_COLUMNS - columns)
    return columns


def read_history(
    connection: Connection, config: MigrationConfig, columns: frozenset[str]
) -> list[HistoryRow]:
    """The rows of applied migrations, in the order in which they were applied."""
    if not columns:
        return []
    table = history_table(config.history_table)
    names = [field.name for field in fields(HistoryRow) if field.name in columns]
    applied = (
        select(*(table.c[name] for name in names))
        .where(table.c.rolled_back_at.is_(None))
        .order_by(table.c.id)
    )
    return [HistoryRow(**row) for row in connection.execute(applied).mappings()]


def read_heads(connection: Connection, config: MigrationConfig) -> set[str] | None:
    """Alembic's current revisions; None if its table does not exist."""
    if not backend.column_names(connection, config.version_table):
        return None
    return set(connection.scalars(text(f'SELECT version_num FROM "{config.version_table}"')))


@dataclass
class HistoryWriter:
    """Alembic's ``on_version_apply`` hook: writes a row for each step, in the step's transaction.

    Attributes:
        columns: the existing columns of the history table.
        opens_batch: whether the next row begins a new batch.
        details: returns the details of the migration that has just run.
    """

    config: MigrationConfig
    columns: frozenset[str]
    opens_batch: bool = True
    details: Callable[[], str | None] = lambda: None

    def __post_init__(self) -> None:
        self._table = history_table(self.config.history_table)
        self.start_watch()

    def __call__(self, *, ctx: "MigrationContext", step: "MigrationInfo", **_: object) -> None:
        if step.is_stamp:
            return  # the engine's next run takes over stamped migrations
        script: Any = step.up_revision
        started_at: ColumnElement[Any] = literal(self._started_at, Utc)
        now: ColumnElement[Any] = literal(datetime.now(UTC), Utc)
        duration = time.perf_counter() - self._clock
        if not isinstance(ctx.bind, Connection):  # printed SQL runs later, at an unknown time
            started_at = now = func.current_timestamp()
            duration = 0.0
        self.bring_table_forward(ctx)
        if step.is_upgrade:
            ctx.execute(self._applied(script, started_at, duration))
        else:
            undone = getattr(script.module, "replaces", (script.revision,))
            ctx.execute(self._change(undone, rolled_back_at=now))
        self.opens_batch = False
        self.start_watch()

    def bring_table_forward(self, target: "Target") -> None:
        """Create the table, or add the columns that an older version lacks; only once."""
        if not self.columns:
            target.execute(CreateTable(self._table, if_not_exists=True))
            self.columns = ALL_COLUMNS
        connection = target if isinstance(target, Connection) else target.bind
        assert connection is not None
        dialect = connection.dialect
        name = dialect.identifier_preparer.quote(self._table.name)
        for column in self._table.columns:
            if column.name not in self.columns:
                definition = CreateColumn(column).compile(dialect=dialect)
                target.execute(text(f"ALTER TABLE {name} ADD COLUMN {definition}"))
        self.columns = ALL_COLUMNS

    def take_over(self, target: "Target", unrecorded: "Iterable[Script]", gone: set[str]) -> None:
        """Update history after another tool has changed ``alembic_version``.

        ``alembic stamp`` leaves such gaps. Their migrations become a baseline, never a batch.
        """
        self.bring_table_forward(target)
        now = func.current_timestamp()
        for script in unrecorded:
            target.execute(self._applied(script, now, 0.0, is_baseline=True))
        if gone:
            target.execute(self._change(gone, rolled_back_at=now))

    def note_baseline(
        self, connection: Connection, revision: str, fingerprint: str, note: str | None
    ) -> None:
        """Store the schema's fingerprint and a note with the last migration of a baseline."""
        connection.execute(self._change([revision], fingerprint=fingerprint, note=note))

    def note_replaced(
        self, connection: Connection, rows: Iterable[HistoryRow], squashed: str, revision: str
    ) -> None:
        """Turn migrations that a squashed one replaces into a baseline, which no rollback undoes.

        Apart from that the rows do not change: a release from before the squash reads them.

        Args:
            squashed: its name, for the row of its revision.
        """
        said = func.coalesce(self._table.c.note + "; ", "")
        for row in rows:
            values: dict[str, Any] = {"note": said + f"replaced by {squashed}"}
            if row.revision == revision:
                note = said + f"recorded, not run; before the squash: {row.name}"
                values = {"name": squashed, "note": note}
            connection.execute(self._change([row.revision], batch=BASELINE, **values))

    def accept_file(self, connection: Connection, row: HistoryRow, path: Path) -> None:
        """Store the checksum of an edited file as that of the applied one."""
        connection.execute(self._change([row.revision], checksum=checksum(path)))

    def start_watch(self) -> None:
        """Start the clock of a migration. The preparation of its run does not count."""
        self._started_at = datetime.now(UTC)
        self._clock = time.perf_counter()

    def _applied(
        self,
        script: "Script",
        started_at: ColumnElement[Any],
        duration: float,
        *,
        is_baseline: bool = False,
    ) -> Insert:
        # The database finds the numbers, so that the statement can also be printed. It is
        # an INSERT … SELECT, because Citus allows no subquery in VALUES.
        table = self._table
        step = 1 if self.opens_batch else 0
        path = Path(script.path)
        run_id = func.coalesce(func.max(table.c.run_id), 0) + step
        still_applied = table.c.rolled_back_at.is_(None)
        batch = func.coalesce(func.max(table.c.batch).filter(still_applied), 0) + step
        values: Mapping[str, Any] = {
            "run_id": run_id,
            "batch": literal(BASELINE) if is_baseline else batch,
            "revision": literal(script.revision),
            "name": literal(path.stem),
            "checksum": literal(checksum(path)),
            "started_at": started_at,
            "duration": literal(duration),
            "phase": literal(getattr(script.module, "phase", DEFAULT_PHASE)),
            "service": literal(self.config.service or None, String),
            "release": literal(self.config.load_release(), String),
            "details": literal(None if is_baseline else self.details(), Text),
        }
        return table.insert().from_select(list(values), select(*values.values()))

    def _change(self, revisions: Iterable[str], **values: Any) -> Update:
        table = self._table
        which = (table.c.revision.in_(revisions), table.c.rolled_back_at.is_(None))
        return update(table).where(*which).values(values)
