"""``fails``."""

from collections.abc import Iterator

from ..model import Dialect, Hit, Linted, Rule


def check(linted: Linted, _dialect: Dialect) -> Iterator[Hit]:
    """Migrations that raised an error."""
    if linted.failure:
        last = linted.effects[-1] if linted.effects else None
        after = f" after: {last.sql}" if last else ""
        yield Hit(None, f"{linted.failure}{after}")


RULE = Rule(
    code="fails",
    title="The migration fails on an empty schema",
    why="Its effect is unknown, and the migrations after it were not run.",
    instead="Correct it. If it needs rows, or an extension that the scratch server lacks, accept "
    "it in lint_ignore, or set LINT_DATABASE_URL.",
    check=check,
)
