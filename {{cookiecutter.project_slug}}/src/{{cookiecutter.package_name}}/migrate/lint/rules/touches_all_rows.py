"""``touches-all-rows``."""

from collections.abc import Iterator

from ..model import Dialect, Hit, Linted, Rule


def check(linted: Linted, _dialect: Dialect) -> Iterator[Hit]:
    """Statements that change or fetch rows without a limiting key."""
    for effect in linted.effects:
        for table in sorted(effect.touched):
            yield Hit(effect, f"No key limits the number of rows of {table}.", table)


RULE = Rule(
    code="touches-all-rows",
    title="All rows are changed or fetched at once",
    why="Every changed row stays locked until the end, its old version stays on the disk, and "
    "all work is lost if it fails.",
    instead="Take a thousand keys at a time, each chunk in a separate transaction.",
    check=check,
)
