"""``rewrites-table``."""

from collections.abc import Iterator

from ..model import Dialect, Hit, Linted, Rule


def check(linted: Linted, _dialect: Dialect) -> Iterator[Hit]:
    """Tables with new storage; a materialized view is only refreshed."""
    for effect in linted.effects:
        for table in sorted(effect.rewritten):
            if effect.command != "REFRESH MATERIALIZED VIEW":
                lock = effect.locks.get(table, "")
                yield Hit(effect, f"Every row of {table} is written anew.", table, lock)


RULE = Rule(
    code="rewrites-table",
    title="A table is written anew",
    why="It takes the longer the more rows there are, needs room for a second copy, and keeps "
    "others out meanwhile.",
    instead="Add a new column beside the old one, fill it in chunks, and change over in a later "
    "release.",
    check=check,
    family="locks",
)
