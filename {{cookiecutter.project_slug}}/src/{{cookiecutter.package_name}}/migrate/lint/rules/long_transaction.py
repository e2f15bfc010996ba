"""``long-transaction``."""

from collections.abc import Iterator

from ..model import Dialect, Effect, Hit, Linted, Rewrite, Rule, Step, as_code, execute
from .blocks_all import LOCK

MANY = 3  # tables that one transaction locks exclusively, each by its own statement


def check(linted: Linted, dialect: Dialect) -> Iterator[Hit]:
    """Strong locks that are held while later statements process rows, or that accumulate."""
    for effect in linted.effects:
        if effect.worked_on and effect.held:
            yield _hit(
                linted, effect, dialect, f"while {', '.join(sorted(effect.worked_on))} is processed"
            )
        elif _piles_up(effect):
            yield _hit(
                linted, effect, dialect, f"while it waits for {', '.join(sorted(effect.locks))}"
            )


def _hit(linted: Linted, effect: Effect, dialect: Dialect, meanwhile: str) -> Hit:
    table, (lock, _) = sorted(effect.held.items())[0]
    held = ", ".join(f"{mode} on {name}" for name, (mode, _) in sorted(effect.held.items()))
    what = f"Its transaction holds {held} {meanwhile}."
    names = {thing.name for thing in effect.before.values() if thing.kind == "table"}
    # Dropped and created again: between two transactions it would be missing.
    if not names.issuperset(effect.held):
        what += " Create the new one under another name first, and swap the names at the end."
        return Hit(effect, what, table, lock, rewrite=())
    return Hit(
        effect, what, table, lock, rewrite=tuple(s.code() for s in _apart(linted, effect, dialect))
    )


def _apart(linted: Linted, effect: Effect, dialect: Dialect) -> Rewrite:
    phase = linted.migration.phase
    if effect.worked_on and (safe := dialect.rewrite(effect)):
        others = tuple(execute(other.sql) for other in linted.effects if other is not effect)
        return (Step(others, phase=phase), *safe)
    return (Step(as_code(linted), transaction=False, phase=phase),)


def _piles_up(effect: Effect) -> bool:
    statements = {by for lock, by in effect.held.values() if lock == LOCK}
    new_locks = [t for t, lock in effect.locks.items() if lock == LOCK and t not in effect.held]
    return bool(new_locks) and len(statements) == MANY - 1


RULE = Rule(
    code="long-transaction",
    title="A lock outlives the statement that needed it",
    why="A lock is held until its transaction ends: even a brief lock lasts until all later "
    "statements are done.",
    instead="Run the statements in separate transactions: transaction = False, or in several "
    "releases.",
    check=check,
)
