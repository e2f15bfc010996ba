"""Prints the SQL that ``latest`` would run, and touches nothing."""

import io
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Engine, StaticPool, create_engine, event

from . import runner as run
from .config import MigrationConfig, check_engine, context_options
from .folder import runs_alone
from .history import HistoryWriter, adopt
from .plan import make_plan, read_stand
from .results import MigrationError, cause
from .transaction import reading

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext


def migration_sql(engine: Engine, config: MigrationConfig) -> str:
    """The SQL from where this database stands to the last migration.

    Raises:
        MigrationError: a migration cannot be written as SQL, or the folder is not in order.
    """
    check_engine(engine)
    return _record(engine, config) if engine.dialect.name == "sqlite" else _print(engine, config)


def _print(engine: Engine, config: MigrationConfig) -> str:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.runtime.migration import RevisionStep

    plan = make_plan(config, read_stand(engine, config))
    scripts = run.all_pending(plan)
    run.check_unchanged(plan)
    if not scripts:
        return ""

    def steps(_heads: object, context: "MigrationContext") -> list[RevisionStep]:
        if plan.unrecorded() or plan.gone():
            adopt(context.execute, plan.unrecorded(), plan.gone())
        return [RevisionStep(plan.scripts.revision_map, script, True) for script in scripts]

    output = io.StringIO()
    environment = EnvironmentContext(
        Config(),
        plan.scripts,
        fn=steps,
        as_sql=True,
        starting_rev=tuple(plan.stand.heads) or None,
    )
    with environment as env:
        env.configure(
            url=engine.url,
            output_buffer=output,
            literal_binds=True,
            dialect_opts={"paramstyle": "named"},
            transaction_per_migration=any(map(runs_alone, scripts)),
            **context_options(config, engine.dialect.name, HistoryWriter()),
        )
        try:
            with env.begin_transaction():
                env.run_migrations()
        except Exception as error:
            raise MigrationError(
                f"A pending migration cannot be written as SQL: {cause(error)}",
                "Nothing was run. A migration that reads rows needs a database to read from.",
                "Run it on a copy of the database: migrate latest",
            ) from error
    return output.getvalue()


def _record(engine: Engine, config: MigrationConfig) -> str:
    # SQLite cannot alter most of a table without reading it first, so Alembic cannot print its
    # SQL. A copy in memory runs the migrations for real, and what reached it is printed.
    copy = create_engine("sqlite://", poolclass=StaticPool)
    with closing(copy.raw_connection()) as target, reading(engine) as source:
        original: Any = source.connection.dbapi_connection
        original.backup(target.dbapi_connection)
    recorder = _Recorder(copy)
    run.upgrade(copy, config, run.all_pending).raise_for_error()
    copy.dispose()
    return "".join(f"{statement};\n" for statement in recorder.statements if _writes(statement))


class _Recorder:
    """Collects the statements that reach a SQLite database, their values filled in."""

    def __init__(self, engine: Engine) -> None:
        self.statements: list[str] = []
        self._is_new = True
        with closing(engine.raw_connection()) as connection:
            raw = cast(sqlite3.Connection, connection.dbapi_connection)
            raw.set_trace_callback(self._traced)
        event.listen(engine, "do_execute", self._executes)
        event.listen(engine, "do_executemany", self._executes_many)

    def _traced(self, statement: str) -> None:
        # SQLite tells of a statement once more for each trigger that it sets off.
        if self._is_new or statement != self.statements[-1]:
            self.statements.append(statement)
        self._is_new = False

    def _executes(self, *_: object) -> None:
        self._is_new = True

    def _executes_many(self, cursor: Any, statement: str, rows: Any, _context: object) -> bool:
        cursor.executemany(statement, map(self._noted, rows))
        return True

    def _noted(self, row: Any) -> Any:
        self._is_new = True
        return row


def _writes(statement: str) -> bool:
    first, _, rest = statement.lstrip().upper().partition(" ")
    return first != "SELECT" and (first != "PRAGMA" or "=" in rest)
