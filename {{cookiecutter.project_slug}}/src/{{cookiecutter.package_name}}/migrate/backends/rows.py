"""Rows that describe a schema of any database: (kind, name, definition).

A definition is lines of ``fact: value``; a further line of a value starts with two spaces.
Default properties have no line.
"""

import hashlib
from collections.abc import Iterable

Row = tuple[str, str, str]


def hash_of_rows(rows: Iterable[Row]) -> str:
    """SHA-256 of rows in hexadecimal, independent of their order."""
    lines = sorted("\x1f".join(row) for row in rows)
    return hashlib.sha256("\x1e".join(lines).encode()).hexdigest()
