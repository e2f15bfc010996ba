"""``scans-table``."""

from collections.abc import Iterator

from ..model import Dialect, Hit, Linted, Rule


def check(linted: Linted, _dialect: Dialect) -> Iterator[Hit]:
    """Tables that are read whole under a lock, to see whether their rows obey something new."""
    for effect in linted.effects:
        for table in sorted(effect.scanned & set(effect.locks)):
            yield Hit(effect, f"Every row of {table} is checked.", table, effect.locks[table])


RULE = Rule(
    code="scans-table",
    title="A table is read whole under a lock",
    why="Whoever needs the table waits until its last row has been checked.",
    instead="Add the constraint NOT VALID, and validate it in a transaction of its own: that "
    "stops nobody.",
    check=check,
    family="locks",
)
