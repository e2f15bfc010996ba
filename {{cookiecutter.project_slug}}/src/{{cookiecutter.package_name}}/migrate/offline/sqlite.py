"""Records SQL on a copy of the database in memory, on which the migrations really run."""

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, cast

from sqlalchemy import Engine, StaticPool, create_engine, event

from ..backends import backend
from ..before_run import nothing
from ..config import MigrationConfig, default_config
from ..events import Observer
from ..rolling.gate import as_comment
from ..runner import upgrade
from ..select import all_pending

# If the script fails, sqlite3 must exit with an error; its exit undoes the open transaction.
STOP_ON_ERROR = ".bail on\n"
# A placeholder, or text in which a question mark is not a placeholder.
_PLACEHOLDER = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/|\?""", re.S)


def migration_sql(engine: Engine, *, config: MigrationConfig | None = None) -> str:
    """The SQL that :func:`run_migrations` would run on this database now, for sqlite3.

    Changes nothing.

    Raises:
        ActionableError: a migration failed on the copy, or the folder has errors.
    """
    config = config or default_config()
    copy = create_engine("sqlite://", poolclass=StaticPool)
    try:
        with closing(copy.raw_connection()) as target, backend.reading(engine) as source:
            original: Any = source.connection.dbapi_connection
            original.backup(target.dbapi_connection)
        recorder = _Recorder(copy)
        quiet = replace(config, observer=Observer(), before_run=nothing, keeps_runs=False)
        result = upgrade(copy, quiet, all_pending).raise_for_error()
    finally:
        copy.dispose()
    statements = [_terminated(statement) for statement in recorder.statements if _writes(statement)]
    waits = as_comment(result.held_back, result.held_by)
    return STOP_ON_ERROR + "".join(statements) + waits if statements else waits


class _Recorder:
    """Collects the statements of a SQLite database, with their values."""

    def __init__(self, engine: Engine) -> None:
        self.statements: list[str] = []
        self._is_new = True
        self._last = ""
        with closing(engine.raw_connection()) as connection:
            raw = cast(sqlite3.Connection, connection.dbapi_connection)
            raw.set_trace_callback(self._traced)
        self._exact: str | None = None
        event.listen(engine, "do_execute", self._executes)
        event.listen(engine, "do_executemany", self._executes_many)

    def _traced(self, statement: str) -> None:
        # SQLite reports a statement once more for each trigger that it fires.
        if self._is_new or statement != self._last:
            self.statements.append(self._exact or statement)
        self._is_new, self._exact, self._last = False, None, statement

    def _executes(self, _cursor: Any, statement: str, values: Any, _context: object) -> None:
        self._note(statement, values)

    def _executes_many(self, cursor: Any, statement: str, rows: Any, _context: object) -> bool:
        cursor.executemany(statement, (self._note(statement, row) for row in rows))
        return True

    def _note(self, statement: str, values: Any) -> Any:
        # SQLite itself would write floats with 15 digits, which do not always give the same number.
        self._is_new = True
        self._exact = _with_values(statement, values) if isinstance(values, tuple) else None
        return values


def _with_values(statement: str, values: Sequence[Any]) -> str:
    left = iter(values)
    return _PLACEHOLDER.sub(
        lambda found: _literal(next(left)) if found[0] == "?" else found[0], statement
    )


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    if isinstance(value, int | float):
        return repr(value + 0)  # True is 1
    return "'" + str(value).replace("'", "''") + "'"


def _terminated(statement: str) -> str:
    # On a separate line, so that the semicolon is not part of a comment at the end.
    return f"{statement}\n;\n" if "--" in statement else f"{statement};\n"


def _writes(statement: str) -> bool:
    first, _, rest = statement.lstrip().upper().partition(" ")
    return first != "SELECT" and (first != "PRAGMA" or "=" in rest)
