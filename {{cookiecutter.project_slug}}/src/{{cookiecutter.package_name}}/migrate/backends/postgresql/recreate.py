"""What makes a schema again: the statements that made it, as they were executed."""

import re
from collections.abc import Callable, Sequence

from sqlalchemy import Connection

# An empty table needs none of it, and a transaction allows none.
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
        executed: what migrations executed, rows aside, as the driver got it.
        leaves_out: not used: migrations make no table that is left out.
    """
    # The driver was handed values, if only none: then it reads %% as %.
    return [_tidy(_CONCURRENTLY.sub(r"\1", one).replace("%%", "%")) for one in executed]


def copies_rebuilt(statement: str) -> bool:
    """Whether a statement only takes rows into the same table made anew: none here."""
    return False


def reads_rows(statement: str) -> bool:
    """Whether a statement looks at rows of the service, on which what follows may depend."""
    return bool(_READS.match(statement)) and not _CATALOG.search(statement)


def _tidy(statement: str) -> str:
    """SQLAlchemy's layout without tabs and blanks at line ends, where no value can hold them."""
    if any(mark in statement for mark in "'\"$"):
        return statement
    return re.sub(r"[ \t]+\n", "\n", statement).replace("\t", "    ")
