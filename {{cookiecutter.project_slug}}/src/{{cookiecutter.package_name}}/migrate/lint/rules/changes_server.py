"""``changes-server``."""

from collections.abc import Iterator

from ..model import Dialect, Hit, Linted, Rule


def check(linted: Linted, _dialect: Dialect) -> Iterator[Hit]:
    """Statements that were not executed: their effect would outlive the scratch database."""
    for effect in linted.effects:
        if effect.changes_server:
            yield Hit(effect, "It was not executed: it would change the server.", rewrite=())


RULE = Rule(
    code="changes-server",
    title="It changes the server, not only this database",
    why="All databases of a server share roles, settings and tablespaces: for the second database "
    "they are already changed, and the migration fails.",
    instead="Do it in the setup of the server, or check in a DO block that it is not done yet.",
    check=check,
)
