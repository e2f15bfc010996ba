"""``mixed-phases`` and ``expand-after-contract``."""

from collections.abc import Iterator

from ..model import Catalog, Dialect, Hit, Linted, Rule

_ADDS = ("table", "column", "label")


def check_mixed(linted: Linted, _dialect: Dialect) -> Iterator[Hit]:
    """Contracts that also add something that new code needs."""
    if linted.migration.phase != "contract":
        return
    old, new = _names(linted.start), _names(linted.end)
    kept = {key for key in linted.start if key in linted.end}  # renamed is not added
    gone = {name for name in old if name not in new}
    for name in new.keys() - old.keys():
        if new[name] not in kept and not (name[0] == "table" and gone):
            what = ".".join(filter(None, name[1:]))
            message = f"It adds {name[0]} {what}, but a contract waits until no old code runs."
            yield Hit(None, message)


def check_order(linted: Linted, _dialect: Dialect) -> Iterator[Hit]:
    """Expands and backfills after a contract in the same release."""
    if linted.earlier_contract and linted.migration.phase != "contract":
        before = linted.earlier_contract
        yield Hit(None, f"It comes after {before}, a contract, and waits with it.")


def _names(catalog: Catalog) -> dict[tuple[str, str, str], str]:
    return {(t.kind, t.table, t.name): key for key, t in catalog.items() if t.kind in _ADDS}


MIXED = Rule(
    code="mixed-phases",
    title="A contract also expands",
    why="A contract waits until no old code runs, but new code needs its additions at once.",
    instead='Move the additions into an earlier migration with phase = "expand".',
    check=check_mixed,
)
ORDER = Rule(
    code="expand-after-contract",
    title="An expand follows a contract in one release",
    why="The contract waits until no old code runs, and all later migrations wait with it: new "
    "code starts without the objects that it needs.",
    instead="Put expands and backfills first and contracts last, or into the next release.",
    check=check_order,
)
