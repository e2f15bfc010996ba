"""Recreates a schema: the executed statements that made it."""

import re
from collections.abc import Callable, Sequence

from sqlalchemy import Connection

# An empty table does not need these, and a transaction does not allow them.
_CONCURRENTLY = re.compile(
    r"^(\s*(?:CREATE\s+(?:UNIQUE\s+)?INDEX|DROP\s+INDEX))\s+CONCURRENTLY\b", re.IGNORECASE
)
_CATALOG = re.compile(
    r"\b(?:pg_\w+|information_schema|current_schema|current_setting|set_config)\b", re.IGNORECASE
)
_READS = re.compile(r"\s*SELECT\b", re.IGNORECASE)


def recreate(
    _connection: Connection, executed: Sequence[str], *, leaves_out: Callable[[str], bool]
) -> list[str]:
    """The statements to execute.

    Args:
        executed: the statements of the migrations, except on rows, as the driver got them.
        leaves_out: not used: migrations make no table that is left out.
    """
    # The driver got parameters, perhaps an empty set: then it reads %% as %.
    return [_tidy(_CONCURRENTLY.sub(r"\1", one).replace("%%", "%")) for one in executed]


def copies_rebuilt(statement: str) -> bool:
    """Whether a statement only copies rows into the rebuilt table: never here."""
    return False


def reads_rows(statement: str) -> bool:
    """Whether a statement reads rows of the service, on which later statements may depend."""
    return bool(_READS.match(statement)) and not _CATALOG.search(statement)


def _tidy(statement: str) -> str:
    """SQLAlchemy's layout without tabs and trailing blanks, if no value can contain them."""
    if any(mark in statement for mark in "'\"$"):
        return statement
    return re.sub(r"[ \t]+\n", "\n", statement).replace("\t", "    ")
