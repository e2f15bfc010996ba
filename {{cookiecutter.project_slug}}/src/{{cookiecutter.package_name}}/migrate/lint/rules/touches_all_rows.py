"""``touches-all-rows``."""

from collections.abc import Iterator

from ..model import Dialect, Hit, Linted, Rule


def check(linted: Linted, _dialect: Dialect) -> Iterator[Hit]:
    """Statements that change or fetch rows which no key bounds."""
    for effect in linted.effects:
        for table in sorted(effect.touched):
            yield Hit(effect, f"No key bounds how many rows of {table} it takes.", table)


RULE = Rule(
    code="touches-all-rows",
    title="All rows are changed, or fetched, at once",
    why="Every changed row stays locked until the end, its old version stays on the disk, and "
    "nothing of it is kept when it fails.",
    instead="Take a thousand keys at a time, each chunk in a transaction of its own.",
    check=check,
)
