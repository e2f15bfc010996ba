"""Prints the SQL that ``latest`` would run, and touches nothing."""

import io
import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import Any, cast

from sqlalchemy import Engine, StaticPool, create_engine

from . import run
from .config import MigrationConfig, check_engine, context_options
from .directory import runs_alone
from .history import HistoryWriter
from .plan import make_plan, read_stand
from .results import MigrationError
from .transaction import reading


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
    if not scripts:
        return ""
    steps = [RevisionStep(plan.scripts.revision_map, script, True) for script in scripts]
    output = io.StringIO()
    environment = EnvironmentContext(
        Config(),
        plan.scripts,
        fn=lambda heads, context: steps,
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
                f"A pending migration cannot be written as SQL: {type(error).__name__}: {error}",
                "Nothing was run. A migration that reads rows needs a database to read from.",
                "Run it on a copy of the database: migrate latest",
            ) from error
    return output.getvalue()


def _record(engine: Engine, config: MigrationConfig) -> str:
    # SQLite cannot alter most of a table without reading it first, so Alembic cannot print its
    # SQL. A copy in memory runs the migrations for real, and what reached it is printed.
    statements: list[str] = []
    copy = create_engine("sqlite://", poolclass=StaticPool)
    with closing(copy.raw_connection()) as target, reading(engine) as source:
        original: Any = source.connection.dbapi_connection
        original.backup(target.dbapi_connection)
        cast(sqlite3.Connection, target.dbapi_connection).set_trace_callback(statements.append)
    run.upgrade(copy, replace(config), run.all_pending).raise_for_error()
    copy.dispose()
    return "".join(f"{statement};\n" for statement in statements if _writes(statement))


def _writes(statement: str) -> bool:
    return not statement.lstrip().upper().startswith(("SELECT", "PRAGMA", "--"))
