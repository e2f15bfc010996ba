"""``no-lock-timeout``."""

from collections.abc import Iterator

from ..model import Dialect, Hit, Linted, Rule


def check(linted: Linted, _dialect: Dialect) -> Iterator[Hit]:
    """Strong locks after the migration took the engine's limit away, or raised it too far."""
    for effect in linted.effects:
        if effect.waits:
            table, lock = sorted(effect.locks.items())[0]
            yield Hit(effect, f"It waits for {lock} on {table} {effect.waits}.", table, lock)


RULE = Rule(
    code="no-lock-timeout",
    title="A statement waits too long for its lock",
    why="While it waits behind one long query, every other query on the table waits behind it.",
    instead="Leave lock_timeout as the engine sets it, or set another limit: it tries again.",
    check=check,
)
