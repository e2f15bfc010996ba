"""Helpers for the rules about locks."""

from ..model import Effect

# Statements that lock for longer than necessary: PostgreSQL has a better form of each.
_AVOIDABLE = ("DROP INDEX", "LOCK TABLE")


def lasting(effect: Effect, table: str) -> str:
    """Why a lock is not brief; empty if it is brief."""
    if table in effect.rewritten:
        return f"While {table} is rewritten,"
    if table in effect.indexed:
        return f"While an index of {table} is built,"
    if effect.worked_on:
        return f"While {', '.join(sorted(effect.worked_on))} is read,"
    if _could_do_without(effect, table):
        return "Until the transaction ends,"
    return ""


def _could_do_without(effect: Effect, table: str) -> bool:
    if effect.command == "DO" and not (effect.changes() or effect.emptied):  # LOCK TABLE in a block
        return True
    return effect.command in _AVOIDABLE or any(
        new is not None
        and old is not None
        and new.name == table
        and old.facts.get("partition_of")
        and not new.facts["partition_of"]
        for old, new in effect.changes("table")
    )
