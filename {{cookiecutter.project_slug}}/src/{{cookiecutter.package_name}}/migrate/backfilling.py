"""Works off backfills: chunk after chunk, each a transaction that also keeps where it ended.

No migrator waits for it: it holds a lock of its own, which dies with the process. A chunk keeps the
row of its backfill locked, so that no two processes ever update a row of the table twice.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    Integer,
    RowMapping,
    String,
    Uuid,
    func,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.exc import NoSuchTableError, OperationalError, SQLAlchemyError

from ..errors import ActionableError
from . import errors
from .backends import backend
from .backends.common import MigrationLock
from .backfill import Backfill, backfill_of, progress_of, progress_table, read_unfinished
from .config import MigrationConfig
from .folder import Folder
from .results import BackfillProgress, MigrationResult
from .runner import upgrade
from .select import Choice, all_pending

AIM_SECONDS = 0.5
FIRST_SIZE = 100
LARGEST_SIZE = 100_000
RETRY_SECONDS = 0.5
KEY_TYPES = (Integer, String, Uuid)


def upgrade_and_fill(
    engine: Engine, config: MigrationConfig, choose: Choice, *, allow_changed: bool = False
) -> MigrationResult:
    """Apply what ``choose`` picks; then, without the lock, work off backfills, and apply what waited.

    Asks nothing more of the database where no backfill is applied.
    """
    result = upgrade(engine, config, choose, allow_changed=allow_changed)
    if not (result.success and result.has_backfills):
        return result
    try:
        before = left = read_unfinished(engine, config)
        if before and config.runs_backfills:
            left = run_backfills(engine, config)
    except ActionableError as error:
        return replace(result, success=False, error=error)
    did_something = bool(before or result.migrations)
    if left or not (did_something and result.held_back and choose is all_pending):
        return result
    return _joined(result, upgrade_and_fill(engine, config, choose))


def run_backfills(
    engine: Engine, config: MigrationConfig, *, stopped: Callable[[], bool] = lambda: False
) -> list[BackfillProgress]:
    """Work off the backfills that are applied. Does nothing while another process does it.

    Args:
        stopped: asked before each chunk; when it says yes, the rest is left for later.

    Returns:
        What is not finished.

    Raises:
        ActionableError: backfill-failed, backfill-key-unusable; lock-lost; the database does not
            answer, or the folder is not in order.
    """
    unfinished = read_unfinished(engine, config)
    if not unfinished:
        return []
    stated = {script.revision: backfill_of(script.module) for script in Folder(config).scripts}
    with _claim(engine) as lock:
        for progress in unfinished if lock else ():
            # Another release has the file of one that this one lacks.
            if lock and (backfill := stated.get(progress.revision)):
                _Filling(engine, config, lock, progress, backfill).run(stopped)
    return read_unfinished(engine, config)


@contextmanager
def _claim(engine: Engine) -> Iterator[MigrationLock | None]:
    lock: MigrationLock = backend.Lock(engine, "backfill")
    try:
        yield lock if lock.acquire() else None
    finally:
        lock.release()


def _joined(first: MigrationResult, second: MigrationResult) -> MigrationResult:
    return replace(
        second,
        batch=second.batch or first.batch,
        migrations=first.migrations + second.migrations,
        duration=first.duration + second.duration,
    )


class _Filling:
    """One backfill, worked off by this process.

    Attributes:
        size: how many keys the next chunk has.
        keys: what the chunk that runs now covers, in words.
    """

    def __init__(
        self,
        engine: Engine,
        config: MigrationConfig,
        lock: MigrationLock,
        progress: BackfillProgress,
        backfill: Backfill,
    ) -> None:
        self.engine = engine
        self.config = config
        self.lock = lock
        self.progress = progress
        self.backfill = backfill
        self.size = FIRST_SIZE
        self.keys = ""
        self.table = progress_table()
        self.mine = (
            self.table.c.service == config.service,
            self.table.c.revision == progress.revision,
        )

    def run(self, stopped: Callable[[], bool]) -> None:
        self.key_type = self._key_type()
        while not stopped():
            progress = self._chunk_with_retries()
            if progress is None:  # it was rolled back
                return
            self.progress = progress
            self.config.observer.backfill_progressed(progress)
            if progress.finished:
                return
            time.sleep(self.config.backfill_pause)

    def _key_type(self) -> str:
        """The type of the key column, as SQL."""
        backfill = self.backfill
        try:
            with backend.reading(self.engine, self.config.scope) as connection:
                columns = inspect(connection).get_columns(backfill.table)
        except NoSuchTableError:
            columns = []
        found = [column for column in columns if column["name"] == backfill.key]
        if not found or found[0]["nullable"] or not isinstance(found[0]["type"], KEY_TYPES):
            raise errors.backfill_key_unusable(
                self.progress.migration, backfill.table, backfill.key
            )
        return str(found[0]["type"].compile(dialect=self.engine.dialect))

    def _chunk_with_retries(self) -> BackfillProgress | None:
        retries = self.config.table_lock_retries
        while True:
            self.keys = "before the first key"
            began = time.perf_counter()
            try:
                progress = self._chunk()
                self._tell_of_chunk(began, failed=False)
                return progress
            except SQLAlchemyError as error:
                self._tell_of_chunk(began, failed=True)
                # A lock, a deadlock, a connection that was lost: the chunk was undone.
                if not retries or not isinstance(error, OperationalError):
                    self._keep_error(error)
                    raise errors.backfill_failed(self.progress, self.keys, error) from error
            self.config.observer.retrying(retries)
            retries -= 1
            self.size = max(1, self.size // 2)
            time.sleep(RETRY_SECONDS)

    def _tell_of_chunk(self, began: float, *, failed: bool) -> None:
        seconds = time.perf_counter() - began
        self.config.observer.chunk_finished(self.progress.migration, seconds, failed=failed)

    def _chunk(self) -> BackfillProgress | None:
        began = time.perf_counter()
        with backend.chunk(self.engine, self.config, self.lock.verify) as connection:
            mine = select(self.table).where(*self.mine).with_for_update()
            row = connection.execute(mine).mappings().one_or_none()
            if row is None or row["finished_at"] is not None:
                return None
            values = (
                self._begin(connection) if row["until"] is None else self._fill(connection, row)
            )
            seconds = time.perf_counter() - began
            taken = row["seconds"] + seconds + self.config.backfill_pause
            values |= {"seconds": taken, "error": None}
            connection.execute(update(self.table).where(*self.mine).values(values))
            changed = connection.execute(select(self.table).where(*self.mine)).mappings().one()
            progress = progress_of(changed)
        self._adapt(time.perf_counter() - began)
        return progress

    def _adapt(self, seconds: float) -> None:
        factor = min(2.0, max(0.25, AIM_SECONDS / max(seconds, 0.001)))
        self.size = max(1, min(LARGEST_SIZE, int(self.size * factor)))

    def _begin(self, connection: Connection) -> dict[str, Any]:
        """Find out how far it goes, and over how many rows."""
        key, rows = _quoted(self.backfill.key), _quoted(self.backfill.table)
        # Without a name of its own, PostgreSQL would order by the text.
        last = f"SELECT CAST({key} AS TEXT) AS last FROM {rows} ORDER BY {key} DESC LIMIT 1"
        until = connection.scalar(text(last))
        total = connection.scalar(text(f"SELECT count(*) FROM {rows}"))
        finished = {"finished_at": func.current_timestamp()} if until is None else {}
        return {"until": until, "total": total} | finished

    def _fill(self, connection: Connection, row: RowMapping) -> dict[str, Any]:
        """Update the rows of the next keys."""
        page = connection.execute(text(self._page(row["cursor"])), self._bound(row)).one_or_none()
        if page is None:
            return {"finished_at": func.current_timestamp()}
        last, number = page
        above = "" if row["cursor"] is None else f"above {row['cursor']} and "
        self.keys = f"with {self.backfill.key} {above}up to {last}"
        connection.execute(text(self._update(row["cursor"])), self._bound(row) | {"last": last})
        return {"cursor": last, "done": row["done"] + number}

    def _bound(self, row: RowMapping) -> dict[str, Any]:
        return {"after": row["cursor"], "until": row["until"], "size": self.size}

    def _page(self, cursor: str | None) -> str:
        key = _quoted(self.backfill.key)
        return (
            "SELECT CAST(k AS TEXT), place FROM ("
            f"SELECT {key} AS k, row_number() OVER (ORDER BY {key}) AS place"
            f" FROM {_quoted(self.backfill.table)}"
            f" WHERE {key} <= {self._typed('until')}{self._beyond(cursor)}"
            f" ORDER BY {key} LIMIT :size) AS page ORDER BY place DESC LIMIT 1"
        )

    def _update(self, cursor: str | None) -> str:
        changes = ", ".join(
            f"{_quoted(column)} = {_literally(value)}"
            for column, value in self.backfill.set.items()
        )
        where = f" AND ({_literally(self.backfill.where)})" if self.backfill.where else ""
        key = _quoted(self.backfill.key)
        return (
            f"UPDATE {_quoted(self.backfill.table)} SET {changes}"
            f" WHERE {key} <= {self._typed('last')}{self._beyond(cursor)}{where}"
        )

    def _beyond(self, cursor: str | None) -> str:
        key = _quoted(self.backfill.key)
        return "" if cursor is None else f" AND {key} > {self._typed('after')}"

    def _typed(self, name: str) -> str:
        return f"CAST(:{name} AS {self.key_type})"

    def _keep_error(self, error: SQLAlchemyError) -> None:
        said = errors.cause(error)
        with (
            suppress(SQLAlchemyError, ActionableError),  # the error itself is told
            backend.chunk(self.engine, self.config, self.lock.verify) as connection,
        ):
            connection.execute(update(self.table).where(*self.mine).values(error=said))


def _quoted(name: str) -> str:
    return '"' + _literally(name.replace('"', '""')) + '"'


def _literally(sql: str) -> str:
    return sql.replace(":", r"\:")  # else :name would be a parameter
