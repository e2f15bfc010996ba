"""``no-lock-timeout``."""

from collections.abc import Iterator

from ..model import Dialect, Hit, Linted, Rule


def check(linted: Linted, _dialect: Dialect) -> Iterator[Hit]:
    """Strong locks after the migration removed the engine's limit, or raised it too far."""
    for effect in linted.effects:
        if effect.waits:
            table, lock = sorted(effect.locks.items())[0]
            yield Hit(effect, f"It waits for {lock} on {table} {effect.waits}.", table, lock)


RULE = Rule(
    code="no-lock-timeout",
    title="A statement waits too long for its lock",
    why="While it waits for one long query, every other query on the table waits behind it.",
    instead="Keep the engine's lock_timeout, or set another limit: the engine tries again.",
    check=check,
)
