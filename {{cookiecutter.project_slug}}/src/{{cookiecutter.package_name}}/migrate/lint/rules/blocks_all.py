"""``blocks-all``."""

from collections.abc import Iterator

from ..model import Dialect, Hit, Linted, Rule
from .locking import lasting

LOCK = "AccessExclusiveLock"


def check(linted: Linted, _dialect: Dialect) -> Iterator[Hit]:
    """Locks that block reads as well as writes."""
    for effect in linted.effects:
        for table, lock in sorted(effect.locks.items()):
            if lock == LOCK and (reason := lasting(effect, table)):
                yield Hit(effect, f"{reason} reads and writes of {table} are blocked.", table, lock)


RULE = Rule(
    code="blocks-all",
    title="Reads and writes of the table are blocked",
    why="Every request that needs the table waits until the transaction ends, and holds a "
    "connection of the pool meanwhile.",
    instead="Use the form that does not lock: CONCURRENTLY, NOT VALID, or a constraint USING "
    "INDEX.",
    check=check,
    family="locks",
)
