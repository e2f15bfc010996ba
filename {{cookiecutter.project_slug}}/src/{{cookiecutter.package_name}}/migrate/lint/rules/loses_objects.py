"""``loses-objects``."""

from collections.abc import Iterator

from ..model import Dialect, Hit, Linted, Rule, execute

_BESIDE_TABLES = ("index", "trigger", "constraint")


def check(linted: Linted, _dialect: Dialect) -> Iterator[Hit]:
    """Objects of a rebuilt table that did not come back."""
    names = {(t.kind, t.table, t.name) for t in linted.end.values()}
    for effect in linted.effects:
        if effect.command == "DROP TABLE":
            for old, new in effect.changes(*_BESIDE_TABLES):
                if old is None or new is not None or ("table", "", old.table) not in names:
                    continue
                if (old.kind, old.table, old.name) not in names:
                    definition = old.facts.get("definition", "")
                    rewrite = (f"{execute(definition)}\n",) * bool(definition)
                    what = f"{old.kind.capitalize()} {old.name} is lost with {old.table}."
                    yield Hit(effect, what, old.table, rewrite=rewrite)


RULE = Rule(
    code="loses-objects",
    title="Rebuilding a table loses its objects",
    why="A rebuilt table comes back without its triggers, and without "
    "indexes and constraints that Alembic does not see.",
    instead="Create them again at the end of the migration.",
    check=check,
)
