"""Recreates a schema: the statements that SQLite stores, in the order of their creation."""

import re
from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from .tokens import fold

_REBUILT = re.compile(r"\s*INSERT\s+INTO\s+[\"\[`]?_alembic_tmp_", re.IGNORECASE)
_CATALOG = re.compile(r"\b(?:sqlite_\w+|pragma_\w+)\b", re.IGNORECASE)
_READS = re.compile(r"\s*SELECT\b", re.IGNORECASE)


def recreate(
    connection: Connection, _executed: Sequence[str], *, leaves_out: Callable[[str], bool]
) -> list[str]:
    """The statements to execute.

    Args:
        leaves_out: whether a table does not belong to the schema.
    """
    kept = connection.exec_driver_sql(
        "SELECT name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL"
        " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid"
    ).all()
    shadows = connection.exec_driver_sql("SELECT name FROM pragma_table_list WHERE type = 'shadow'")
    hidden = {fold(name) for (name,) in shadows}
    return [
        _tidy(sql)
        for name, table, sql in kept
        if hidden.isdisjoint((fold(name), fold(table)))
        and not (leaves_out(name) or leaves_out(table))
    ]


def copies_rebuilt(statement: str) -> bool:
    """Whether a statement only copies rows into the rebuilt table, as in batch mode."""
    return bool(_REBUILT.match(statement))


def reads_rows(statement: str) -> bool:
    """Whether a statement reads rows of the service, on which later statements may depend."""
    return bool(_READS.match(statement)) and not _CATALOG.search(statement)


def _tidy(statement: str) -> str:
    """SQLAlchemy's layout without tabs and trailing blanks, if no value can contain them."""
    if "'" in statement:
        return statement
    return re.sub(r"[ \t]+\n", "\n", statement).replace("\t", "    ")
