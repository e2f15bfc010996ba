"""``rewrites-table``."""

from collections.abc import Iterator

from ..model import Dialect, Hit, Linted, Rule


def check(linted: Linted, _dialect: Dialect) -> Iterator[Hit]:
    """Tables with new storage; a materialized view is only refreshed."""
    for effect in linted.effects:
        for table in sorted(effect.rewritten):
            if effect.command != "REFRESH MATERIALIZED VIEW":
                lock = effect.locks.get(table, "")
                yield Hit(effect, f"Every row of {table} is rewritten.", table, lock)


RULE = Rule(
    code="rewrites-table",
    title="A table is rewritten",
    why="Its duration grows with the number of rows, it needs disk space for a second copy, and it "
    "blocks others meanwhile.",
    instead="Add a new column, fill it in chunks, and switch to it in a later release.",
    check=check,
    family="locks",
)
