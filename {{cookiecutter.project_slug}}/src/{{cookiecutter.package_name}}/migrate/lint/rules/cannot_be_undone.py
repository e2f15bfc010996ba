"""``cannot-be-undone``."""

from collections.abc import Iterator

from ..model import Dialect, Hit, Linted, Rule


def check(linted: Linted, _dialect: Dialect) -> Iterator[Hit]:
    """Downgrades after which the schema differs from before, or the upgrade fails."""
    if linted.undo:
        shown = "; ".join(linted.undo[:5])
        more = f"; {len(linted.undo) - 5} more" if len(linted.undo) > 5 else ""
        body = "".join(f"    {line}\n" for line in linted.undo_code)
        rewrite = (f"def downgrade() -> None:\n{body}",) * bool(body)
        yield Hit(None, f"{shown[0].upper()}{shown[1:]}{more}.", rewrite=rewrite)


RULE = Rule(
    code="cannot-be-undone",
    title="The downgrade does not undo the upgrade",
    why="After a rollback the database is not what any release expects, and the next upgrade "
    "fails.",
    instead="Write a downgrade that undoes every change of the upgrade.",
    check=check,
)
