"""Runs backfills: chunk after chunk, each in a transaction that also stores its last key.

No migrator waits for it: it holds a separate lock, which ends with the process. A chunk locks the
row of its backfill, so that two processes never update the same row of the table.

With tenants one process handles one tenant after the other. It first counts the rows of all
tenants, so that the total is known before the first row is updated. A failure in one tenant does
not stop the others; it is reported at the end, and retried the next time. The row of a dropped
tenant disappears, so this tenant is skipped. A new tenant is filled in when it is created.
"""

import time
from collections.abc import Callable, Iterator, Mapping
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
from sqlalchemy.exc import NoSuchTableError, SQLAlchemyError

from ..errors import ActionableError
from ..words import count
from . import errors
from .backends import backend
from .backends.common import MigrationLock
from .backfill import (
    Backfill,
    backfill_of,
    progress_table,
    quoted,
    read_left,
    read_progress,
    read_unfinished,
)
from .config import MigrationConfig
from .folder import Folder
from .results import BackfillProgress, BackfillsResult, MigrationResult, after_progress
from .runner import upgrade
from .select import Choice, all_pending

AIM_SECONDS = 0.5
FIRST_SIZE = 100
LARGEST_SIZE = 100_000
RETRY_SECONDS = 0.5
KEY_TYPES = (Integer, String, Uuid)
# Errors of one tenant that another tenant need not have.
OF_ONE_TENANT = ("backfill-failed", "backfill-key-unusable")


def upgrade_and_fill(
    engine: Engine,
    config: MigrationConfig,
    choose: Choice,
    *,
    folder: Folder | None = None,
    allow_changed: bool = False,
) -> MigrationResult:
    """Apply what ``choose`` picks; then run backfills without the lock, then apply the rest.

    Without an applied backfill it sends no further query.
    """
    folder = folder or Folder(config)
    result = upgrade(engine, config, choose, folder=folder, allow_changed=allow_changed)
    has_advanced = bool(result.migrations)
    try:
        goes_on = fill_after(engine, config, result, has_advanced=has_advanced, folder=folder)
    except ActionableError as error:
        if result.migrations:
            error = after_progress(error)
        return replace(result, success=False, error=error)
    if goes_on and result.held_back and choose is all_pending:
        now = folder.as_it_is_now()  # the backfill may have taken hours
        return result.joined(upgrade_and_fill(engine, config, choose, folder=now))
    return result


def fill_after(
    engine: Engine,
    config: MigrationConfig,
    result: MigrationResult,
    *,
    has_advanced: bool,
    folder: Folder | None = None,
) -> bool:
    """Run the backfills after a run. Returns whether migrations that waited may continue now.

    Args:
        has_advanced: whether the run migrated anything.

    Raises:
        ActionableError: as :func:`fill_applied`.
    """
    if not (result.success and result.has_backfills):
        return False
    before = left = read_unfinished(engine, config)
    if before and config.runs_backfills:
        left = fill_applied(engine, config, folder=folder)
    return not left and bool(before or (has_advanced and result.held_back))


def run_backfills(
    engine: Engine, config: MigrationConfig, *, stopped: Callable[[], bool] = lambda: False
) -> BackfillsResult:
    """Run the applied backfills. Does nothing while another process runs them.

    Args:
        stopped: called before each chunk; if it returns true, the rest stays for later.
    """
    try:
        unfinished = fill_applied(engine, config, stopped=stopped)
    except ActionableError as error:
        return BackfillsResult(success=False, error=error)
    return BackfillsResult(success=True, unfinished=tuple(unfinished))


def fill_applied(
    engine: Engine,
    config: MigrationConfig,
    *,
    stopped: Callable[[], bool] = lambda: False,
    folder: Folder | None = None,
) -> list[BackfillProgress]:
    """As :func:`run_backfills`; returns the unfinished backfills.

    Args:
        folder: the folder of a run before.

    Raises:
        ActionableError: backfill-failed, backfill-key-unusable; lock-lost; the database does not
            answer, or the folder has errors.
    """
    if not read_unfinished(engine, config):
        return []
    scripts = (folder or Folder(config)).scripts
    backfills = {script.revision: backfill_of(script.module) for script in scripts}
    with _claim(engine) as lock:
        for progress in read_unfinished(engine, config) if lock else ():
            # If this release lacks the file, another release has it.
            if lock and (backfill := backfills.get(progress.revision)):
                _Filling(engine, config, lock, progress, backfill).run(stopped)
    return read_unfinished(engine, config)


@contextmanager
def _claim(engine: Engine) -> Iterator[MigrationLock | None]:
    lock: MigrationLock = backend.Lock(engine, "backfill")
    try:
        yield lock if lock.acquire() else None
    finally:
        lock.release()


def _as_one(failed: list[ActionableError]) -> ActionableError:
    first, *more = failed
    if not more:
        return first
    problem = f"{first.problem} It also failed in {count(len(more), 'other tenant')}."
    return ActionableError(first.code, problem, first.impact, first.solution)


class _Filling:
    """One backfill that this process runs: in the only schema, or in each tenant's.

    Attributes:
        progress: the sum over all of them.
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
        self.progress = progress
        self.errors: list[ActionableError] = []
        self.parts = [
            _Part(engine, config, lock, row, backfill)
            for row in read_left(engine, config, progress.revision)
        ]

    def run(self, stopped: Callable[[], bool]) -> None:
        uncounted = [part for part in self.parts if part.row["until"] is None]
        for part in uncounted:
            if stopped():
                return
            with self._keeping_its_error(part):
                part.chunk()
            self._report(from_database=part is uncounted[-1])
        for part in [part for part in self.parts if part.is_open]:
            with self._keeping_its_error(part):
                self._fill(part, stopped)
        if self.errors:
            raise _as_one(self.errors)

    @contextmanager
    def _keeping_its_error(self, part: "_Part") -> Iterator[None]:
        """Leave a tenant that fails for later, and go on with the others."""
        try:
            yield
        except ActionableError as error:
            if error.code not in OF_ONE_TENANT:
                raise
            part.is_open = False
            self.errors.append(error)

    def _fill(self, part: "_Part", stopped: Callable[[], bool]) -> None:
        began = time.perf_counter()
        while part.is_open and not stopped():
            before = part.row
            part.chunk()
            rows, seconds = (part.row[name] - before[name] for name in ("done", "seconds"))
            finished = part.row["finished_at"] is not None
            self.progress = replace(
                self.progress,
                done=self.progress.done + rows,
                seconds=self.progress.seconds + seconds,
                tenants_left=max(0, self.progress.tenants_left - finished),
            )
            is_last = finished and not self.progress.tenants_left
            was_dropped = not part.is_open and not finished
            self._report(from_database=is_last or was_dropped)
            if part.is_open:
                time.sleep(self.config.backfill_pause)
        # After a small tenant the pause is shorter, in proportion to the work.
        spent = time.perf_counter() - began
        if self.progress.tenants:
            time.sleep(self.config.backfill_pause * min(1.0, spent / AIM_SECONDS))

    def _report(self, *, from_database: bool) -> None:
        """Report the progress.

        Args:
            from_database: read it again: all are counted or finished, or one was dropped.
        """
        if from_database:
            for found in read_progress(self.engine, self.config, self.progress.revision):
                self.progress = found
        self.config.observer.backfill_progressed(self.progress)


class _Part:
    """A backfill in one schema.

    Attributes:
        row: its row in the table of progress, as last read.
        is_open: whether it is unfinished.
        size: the number of keys in the next chunk.
        keys: the keys of the current chunk, in words.
    """

    def __init__(
        self,
        engine: Engine,
        config: MigrationConfig,
        lock: MigrationLock,
        row: Mapping[str, Any],
        backfill: Backfill,
    ) -> None:
        self.engine = engine
        scope = config.scope.of_tenant(row["tenant"], role=config.tenant_roles)
        self.config = replace(config, scope=scope)
        self.lock = lock
        self.row = row
        self.backfill = backfill
        self.is_open = True
        self.size = FIRST_SIZE
        self.keys = ""
        self.key_type = ""
        self.table = progress_table(config.scope.shared_schema)
        self.this_row = [
            self.table.c[name] == row[name] for name in ("service", "revision", "tenant")
        ]

    def chunk(self) -> None:
        """Do the next chunk; the first call finds the last key.

        Raises:
            ActionableError: backfill-failed, backfill-key-unusable; lock-lost, database-away.
        """
        self.key_type = self.key_type or self._find_key_type()
        retries = self.config.table_lock_retries
        while True:
            self.keys = "before the first key"
            began = time.perf_counter()
            try:
                self._try_chunk()
                self._report_chunk(began, failed=False)
                return
            except SQLAlchemyError as error:
                self._report_chunk(began, failed=True)
                if not retries or not backend.may_pass(error):
                    raise self._failure(error) from error
            # The chunk was undone.
            self.config.observer.retrying(retries)
            retries -= 1
            self.size = max(1, self.size // 2)
            time.sleep(RETRY_SECONDS)

    def _failure(self, error: SQLAlchemyError) -> ActionableError:
        if backend.is_lost(error):
            return backend.explain(self.engine, error)
        self._keep_error(error)
        return errors.backfill_failed(self.row, self.keys, error)

    def _find_key_type(self) -> str:
        """The type of the key column, as SQL."""
        backfill = self.backfill
        try:
            with backend.reading(self.engine, self.config.scope) as connection:
                columns = inspect(connection).get_columns(backfill.table)
        except NoSuchTableError:
            columns = []
        found = [column for column in columns if column["name"] == backfill.key]
        if not found or found[0]["nullable"] or not isinstance(found[0]["type"], KEY_TYPES):
            raise errors.backfill_key_unusable(self.row, backfill.table, backfill.key)
        return str(found[0]["type"].compile(dialect=self.engine.dialect))

    def _report_chunk(self, began: float, *, failed: bool) -> None:
        seconds = time.perf_counter() - began
        self.config.observer.chunk_finished(self.row["name"], seconds, failed=failed)

    def _try_chunk(self) -> None:
        began = time.perf_counter()
        scope = self.config.scope
        with backend.chunk(self.engine, self.config, self.lock.verify) as connection:
            query = select(self.table).where(*self.this_row)
            with scope.shared_tables(connection):
                row = connection.execute(query.with_for_update()).mappings().one_or_none()
            if row is None or row["finished_at"] is not None:
                self.is_open = False  # the migration was rolled back, or the tenant dropped
                return
            begins = row["until"] is None
            values = self._begin(connection) if begins else self._fill(connection, row)
            seconds = time.perf_counter() - began
            total_seconds = row["seconds"] + seconds + self.config.backfill_pause
            values |= {"seconds": total_seconds, "error": None}
            with scope.shared_tables(connection):
                connection.execute(update(self.table).where(*self.this_row).values(values))
                self.row = dict(connection.execute(query).mappings().one())
        self.is_open = self.row["finished_at"] is None
        self._adapt(time.perf_counter() - began)

    def _adapt(self, seconds: float) -> None:
        factor = min(2.0, max(0.25, AIM_SECONDS / max(seconds, 0.001)))
        self.size = max(1, min(LARGEST_SIZE, int(self.size * factor)))

    def _begin(self, connection: Connection) -> dict[str, Any]:
        """Find the last key, and the number of rows."""
        key, rows = quoted(self.backfill.key), quoted(self.backfill.table)
        # Without this alias, PostgreSQL would order by the text.
        last = f"SELECT CAST({key} AS TEXT) AS last FROM {rows} ORDER BY {key} DESC LIMIT 1"
        until = connection.scalar(text(last))
        total = connection.scalar(text(f"SELECT count(*) FROM {rows}"))
        finished = {"finished_at": func.current_timestamp()} if until is None else {}
        return {"until": until, "total": total} | finished

    def _fill(self, connection: Connection, row: RowMapping) -> dict[str, Any]:
        """Update the rows of the next keys."""
        finished = {"finished_at": func.current_timestamp()}
        page = connection.execute(text(self._page(row["cursor"])), self._bound(row)).one_or_none()
        if page is None:
            return finished
        last, number = page
        above = "" if row["cursor"] is None else f"above {row['cursor']} and "
        self.keys = f"with {self.backfill.key} {above}up to {last}"
        key = quoted(self.backfill.key)
        keys = f"{key} <= {self._typed('last')}{self._beyond(row['cursor'])}"
        statement = text(self.backfill.update(keys))
        connection.execute(statement, self._bound(row) | {"last": last})
        done = {"cursor": last, "done": row["done"] + number}
        return done if number == self.size else done | finished

    def _bound(self, row: RowMapping) -> dict[str, Any]:
        return {"after": row["cursor"], "until": row["until"], "size": self.size}

    def _page(self, cursor: str | None) -> str:
        key = quoted(self.backfill.key)
        return (
            "SELECT CAST(k AS TEXT), place FROM ("
            f"SELECT {key} AS k, row_number() OVER (ORDER BY {key}) AS place"
            f" FROM {quoted(self.backfill.table)}"
            f" WHERE {key} <= {self._typed('until')}{self._beyond(cursor)}"
            f" ORDER BY {key} LIMIT :size) AS page ORDER BY place DESC LIMIT 1"
        )

    def _beyond(self, cursor: str | None) -> str:
        key = quoted(self.backfill.key)
        return "" if cursor is None else f" AND {key} > {self._typed('after')}"

    def _typed(self, name: str) -> str:
        return f"CAST(:{name} AS {self.key_type})"

    def _keep_error(self, error: SQLAlchemyError) -> None:
        tenant = self.row["tenant"]
        message = f"{tenant}: {errors.cause(error)}" if tenant else errors.cause(error)
        with (
            suppress(SQLAlchemyError, ActionableError),  # the error itself is reported anyway
            backend.chunk(self.engine, self.config, self.lock.verify) as connection,
            self.config.scope.shared_tables(connection),
        ):
            connection.execute(update(self.table).where(*self.this_row).values(error=message))
