"""``fails-on-rows``."""

from collections.abc import Iterator, Mapping
from typing import Any

from ..model import Dialect, Hit, Linted, Rule


def check(linted: Linted, _dialect: Dialect) -> Iterator[Hit]:
    """New NOT NULL columns that have no value for existing rows."""
    known = {(t.table, t.name) for t in linted.start.values() if t.kind == "column"}
    for effect in linted.effects:
        for old, new in effect.changes("column"):
            if old is not None or new is None or (new.table, new.name) in known:
                continue
            if new.facts["not_null"] and not _filled(new.facts):
                what = f"{new.table}.{new.name} is NOT NULL and has no default."
                yield Hit(effect, what, new.table)


def _filled(facts: Mapping[str, Any]) -> bool:
    return bool(facts["default"] is not None or facts.get("identity") or facts.get("generated"))


RULE = Rule(
    code="fails-on-rows",
    title="It works only on an empty table",
    why="On a table with rows the statement fails, and with it the run.",
    instead="Give the column a default, or leave it nullable until every row has a value.",
    check=check,
)
