"""``blocks-writes``."""

from collections.abc import Iterator

from ..model import Dialect, Hit, Linted, Rule
from .blocks_all import LOCK
from .locking import lasting


def check(linted: Linted, _dialect: Dialect) -> Iterator[Hit]:
    """Locks that stop those who write."""
    for effect in linted.effects:
        for table, lock in sorted(effect.locks.items()):
            if lock != LOCK and (reason := lasting(effect, table)):
                yield Hit(effect, f"{reason} nobody writes {table}.", table, lock)


RULE = Rule(
    code="blocks-writes",
    title="Nobody writes the table",
    why="Every INSERT, UPDATE and DELETE on the table waits until the transaction ends.",
    instead="Build indexes CONCURRENTLY, and add constraints NOT VALID before they are validated.",
    check=check,
    family="locks",
)
