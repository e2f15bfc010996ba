"""``blocks-writes``."""

from collections.abc import Iterator

from ..model import Dialect, Hit, Linted, Rule
from .blocks_all import LOCK
from .locking import lasting


def check(linted: Linted, _dialect: Dialect) -> Iterator[Hit]:
    """Locks that block writes."""
    for effect in linted.effects:
        for table, lock in sorted(effect.locks.items()):
            if lock != LOCK and (reason := lasting(effect, table)):
                yield Hit(effect, f"{reason} writes to {table} are blocked.", table, lock)


RULE = Rule(
    code="blocks-writes",
    title="Writes to the table are blocked",
    why="Every INSERT, UPDATE and DELETE on the table waits until the transaction ends.",
    instead="Build indexes CONCURRENTLY; add constraints NOT VALID first, and validate them later.",
    check=check,
    family="locks",
)
