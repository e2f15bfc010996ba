"""``loses-objects``."""

from collections.abc import Iterator

from ..model import Dialect, Hit, Linted, Rule, execute

_BESIDE_TABLES = ("index", "trigger", "constraint")


def check(linted: Linted, _dialect: Dialect) -> Iterator[Hit]:
    """What went away with a table that was built anew, and did not come back with it."""
    names = {(t.kind, t.table, t.name) for t in linted.end.values()}
    for effect in linted.effects:
        if effect.command == "DROP TABLE":
            for old, new in effect.changes(*_BESIDE_TABLES):
                if old is None or new is not None or ("table", "", old.table) not in names:
                    continue
                if (old.kind, old.table, old.name) not in names:
                    definition = old.facts.get("definition", "")
                    rewrite = (f"{execute(definition)}\n",) * bool(definition)
                    what = f"{old.kind.capitalize()} {old.name} goes with {old.table}."
                    yield Hit(effect, what, old.table, rewrite=rewrite)


RULE = Rule(
    code="loses-objects",
    title="Rebuilding a table loses what belongs to it",
    why="A table that is dropped and made again comes back without its triggers, and without "
    "indexes and constraints that Alembic does not see.",
    instead="Create them again at the end of the migration.",
    check=check,
)
