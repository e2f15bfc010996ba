"""``scans-table``."""

from collections.abc import Iterator

from ..model import Dialect, Hit, Linted, Rule


def check(linted: Linted, _dialect: Dialect) -> Iterator[Hit]:
    """Tables that are read completely under a lock, to check their rows for a new constraint."""
    for effect in linted.effects:
        for table in sorted(effect.scanned & set(effect.locks)):
            yield Hit(effect, f"Every row of {table} is checked.", table, effect.locks[table])


RULE = Rule(
    code="scans-table",
    title="A table is read completely under a lock",
    why="Every query that needs the table waits until its last row has been checked.",
    instead="Add the constraint NOT VALID, and validate it in a separate transaction, which blocks "
    "nobody.",
    check=check,
    family="locks",
)
