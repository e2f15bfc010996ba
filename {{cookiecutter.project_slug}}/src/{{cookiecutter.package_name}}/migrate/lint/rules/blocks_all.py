"""``blocks-all``."""

from collections.abc import Iterator

from ..model import Dialect, Hit, Linted, Rule
from .locking import lasting

LOCK = "AccessExclusiveLock"


def check(linted: Linted, _dialect: Dialect) -> Iterator[Hit]:
    """Locks that stop those who read, too."""
    for effect in linted.effects:
        for table, lock in sorted(effect.locks.items()):
            if lock == LOCK and (reason := lasting(effect, table)):
                yield Hit(effect, f"{reason} nobody reads or writes {table}.", table, lock)


RULE = Rule(
    code="blocks-all",
    title="Nobody reads or writes the table",
    why="Every request that needs the table waits, and with it the pool of connections, until the "
    "transaction ends.",
    instead="Use the form that does not lock: CONCURRENTLY, NOT VALID, or a constraint USING INDEX.",
    check=check,
    family="locks",
)
