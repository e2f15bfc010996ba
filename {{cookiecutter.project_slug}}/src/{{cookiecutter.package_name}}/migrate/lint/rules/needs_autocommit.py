"""``needs-autocommit``."""

from collections.abc import Iterator

from ..model import Dialect, Hit, Linted, Rule, Step, as_code


def check(linted: Linted, _dialect: Dialect) -> Iterator[Hit]:
    """Statements that the database refused inside a transaction."""
    for effect in linted.effects:
        if effect.needs_autocommit:
            lines = as_code(linted)
            step = Step(lines, transaction=False, phase=linted.migration.phase)
            yield Hit(effect, "It does not run inside a transaction.", rewrite=(step.code(),))


RULE = Rule(
    code="needs-autocommit",
    title="A statement does not run inside a transaction",
    why="The migration fails, and with it the run.",
    instead="Write transaction = False at the top of its file.",
    check=check,
)
