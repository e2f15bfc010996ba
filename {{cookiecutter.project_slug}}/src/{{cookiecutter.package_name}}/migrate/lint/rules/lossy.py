"""``lossy``."""

from collections.abc import Iterator

from ..model import Dialect, Effect, Hit, Linted, Rule, Thing


def check(linted: Linted, dialect: Dialect) -> Iterator[Hit]:
    """Data that the upgrade destroys: no downgrade brings it back."""
    for effect in linted.effects:
        for table, what in _lost(effect, dialect):
            if not _was_copied(linted, effect, table):
                yield Hit(effect, f"{what} cannot be restored.", table)


def _lost(effect: Effect, dialect: Dialect) -> Iterator[tuple[str, str]]:
    for table in sorted(effect.emptied):
        yield table, f"The rows of {table}"
    for old, new in effect.changes("table", "column"):
        if old is None or (old.kind == "table" and old.facts["kind"] not in ("r", "p")):
            continue
        if old.kind == "table" and new is None:
            yield old.name, f"The rows of {old.name}"
        elif old.kind == "column" and new is None and old.of in effect.after:
            if not old.facts.get("generated"):
                yield old.table, f"What {old.table}.{old.name} holds"
        elif old.kind == "column" and new is not None and _narrows(old, new, dialect):
            yield old.table, f"Data that no longer fits into {new.facts['type']}"


def _was_copied(linted: Linted, effect: Effect, table: str) -> bool:
    # A batch operation creates a new table, copies the rows, and gives it the old name.
    comes_back = any(t.kind == "table" and t.name == table for t in linted.end.values())
    copied = any(table in e.rewritten or table in e.touched for e in linted.effects)
    return effect.command == "DROP TABLE" and comes_back and copied


def _narrows(old: Thing, new: Thing, dialect: Dialect) -> bool:
    return dialect.fits(new, old) and not dialect.fits(old, new)


RULE = Rule(
    code="lossy",
    title="Data is lost",
    why="A rollback restores the table or the column, but not its data.",
    instead='Keep it until no release needs it: phase = "contract", and a backup before the run.',
    check=check,
    family="contract",
    contract=True,
)
