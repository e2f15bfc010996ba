"""Runs migrations on an empty schema, one statement at a time, and records the effect of each."""

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, event

from ...errors import cause
from .model import Catalog, Dialect, Linted, Migration, Snapshots, Watch

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext

# Queries and statements that control a transaction are executed but not examined.
_COURSE = re.compile(r"\s*(EXPLAIN|SAVEPOINT|RELEASE|ROLLBACK|COMMIT|BEGIN|START)\b", re.IGNORECASE)
_EXECUTE = {"do_execute": False, "do_executemany": True}


def observe(
    connection: Connection,
    migrations: Sequence[Migration],
    dialect: Dialect,
    *,
    small_tables: Sequence[str] = (),
    round_trip: bool = True,
    snapshots: Snapshots | None = None,
    options: Mapping[str, Any] | None = None,
) -> list[Linted]:
    """Run migrations, and return the effects of each.

    They are one transaction, as in a run of the engine, unless one of them says
    ``transaction = False``. The run stops at the first failure.

    Args:
        connection: to a scratch database that has the earlier migrations, with no open
            transaction. The changes are committed there.
        small_tables: names of tables that are not watched.
        round_trip: undo and redo them afterwards, and compare the catalog.
        snapshots: used to compare the whole schema too.
        options: for Alembic's ``MigrationContext``.
    """
    dialect.prepare(connection)
    base = dialect.catalog(connection)
    existing = frozenset(
        key
        for key, thing in base.items()
        if thing.kind == "table" and thing.name not in small_tables
    )
    runner = _Runner(connection, dialect, Watch(existing, base), snapshots, options or {})
    linted = runner.upgrade(migrations, base)
    if round_trip and not any(one.failure for one in linted):
        runner.round_trip(linted)
    return linted


class _Runner:
    def __init__(
        self,
        connection: Connection,
        dialect: Dialect,
        watch: Watch,
        snapshots: Snapshots | None,
        options: Mapping[str, Any],
    ) -> None:
        self.connection = connection
        self.dialect = dialect
        self.watch = watch
        self.snapshots = snapshots
        self.options = dict(options)

    def upgrade(self, migrations: Sequence[Migration], base: Catalog) -> list[Linted]:
        """Run them, and watch."""
        whole = all(migration.transaction for migration in migrations)
        context = self._context()
        linted: list[Linted] = []
        with context.begin_transaction() if whole else nullcontext():
            for migration in migrations:
                one = Linted(migration, base, linted[-1].end if linted else base)
                one.earlier_contract = next(
                    (m.migration.name for m in linted if m.migration.phase == "contract"), None
                )
                linted.append(one)
                with nullcontext() if whole else context.begin_transaction():
                    one.snapshot = self._snapshot()
                    with self._watching(one):
                        self._run(context, migration, one)
                if one.failure:
                    break
        if self.connection.in_transaction():
            self.connection.rollback()
        return linted

    def _context(self) -> "MigrationContext":
        from alembic.runtime.migration import MigrationContext

        options = {"transactional_ddl": True, **self.options}
        return MigrationContext.configure(self.connection, opts=options)

    def _run(self, context: "MigrationContext", migration: Migration, one: Linted) -> None:
        from ..alembic_bridge import operations_on

        try:
            with operations_on(context):
                migration.upgrade()
            one.effects += self.dialect.unseen(self.connection, one.end, self.watch)
        except (Exception, SystemExit) as error:
            one.failure = cause(error)
            self.connection.rollback()

    @contextmanager
    def _watching(self, one: Linted) -> Iterator[None]:
        def execute(many: bool, cursor: Any, statement: str, parameters: Any) -> bool | None:
            if _COURSE.match(statement):
                return None
            self.watch.line = _line_in(one.migration.path)
            one.effects += self.dialect.run(cursor, statement, parameters, many, self.watch)
            return True

        with self._executing(execute):
            yield

    @contextmanager
    def _executing(self, instead: Callable[..., bool | None]) -> Iterator[None]:
        raw = self.connection.connection.dbapi_connection

        def execute(many: bool, cursor: Any, *arguments: Any) -> bool | None:
            return instead(many, cursor, *arguments) if cursor.connection is raw else None

        listeners = [
            (name, lambda c, s, p, _, many=many: execute(many, c, s, p))
            for name, many in _EXECUTE.items()
        ]
        for name, listener in listeners:
            event.listen(self.connection.engine, name, listener)
        try:
            yield
        finally:
            for name, listener in listeners:
                event.remove(self.connection.engine, name, listener)

    def round_trip(self, linted: Sequence[Linted]) -> None:
        """Undo them, last first, until one fails; then run the undone ones again."""
        undone: list[Linted] = []
        for one in reversed(linted):
            undone.append(one)
            self._undo(one)
            if one.undo:
                break
        for one in reversed(undone):
            if failure := self._silently(one.migration, up=True):
                one.undo.append(f"after the downgrade, the upgrade fails: {failure}")
                break
        for one in undone:
            _forgive_labels(one)
            one.was_undone = not one.undo

    def _undo(self, one: Linted) -> None:
        failure = self._silently(one.migration, up=False)
        if failure:
            one.undo.append(f"the downgrade fails: {failure}")
            return
        before, after = _named(one.start), _named(self.dialect.catalog(self.connection))
        self.connection.rollback()
        left = [name for name in after if name not in before]
        for name in left:
            one.undo.append(f"{' '.join(filter(None, name))} is left behind")
        one.undo_code = tuple(
            line for name in left if (line := self.dialect.undo(name[0], after[name]))
        )
        for name in before:
            if name not in after:
                one.undo.append(f"{' '.join(filter(None, name))} does not come back")
            elif before[name].facts != after[name].facts:
                one.undo.append(f"{' '.join(filter(None, name))} has changed")

        if self.snapshots and not one.undo:
            one.undo += self.snapshots.compare(one.snapshot, self._snapshot())
            self.connection.rollback()

    def _snapshot(self) -> Any:
        return self.snapshots and self.snapshots.take(self.connection)

    def _silently(self, migration: Migration, *, up: bool) -> str | None:
        from ..alembic_bridge import operations_on

        context = self._context()

        def skip(_many: bool, _cursor: Any, statement: str, _parameters: Any) -> bool | None:
            return self.dialect.changes_server(statement) or None

        try:
            with (
                self._executing(skip),
                context.begin_transaction(),
                operations_on(context),
            ):
                (migration.upgrade if up else migration.downgrade)()
        except (Exception, SystemExit) as error:
            if self.connection.in_transaction():
                self.connection.rollback()
            return cause(error)
        return None


def _named(catalog: Catalog) -> dict[tuple[str, str, str], Any]:
    # By its name for people, so that an object that was dropped and created again is the same.
    return {
        (thing.kind, thing.name, f"of {thing.table}" if thing.table else ""): thing
        for thing in catalog.values()
        if thing.kind not in ("lock", "setting")
    }


def _forgive_labels(one: Linted) -> None:
    # No database can remove a value of an enum; if the upgrade accepts existing values, so do we.
    if all(problem.startswith("label ") for problem in one.undo):
        one.undo.clear()


def _line_in(path: str) -> int | None:
    frame = sys._getframe()
    while frame is not None and frame.f_code.co_filename != path:
        frame = frame.f_back  # type: ignore[assignment]
    return frame.f_lineno if frame is not None else None
