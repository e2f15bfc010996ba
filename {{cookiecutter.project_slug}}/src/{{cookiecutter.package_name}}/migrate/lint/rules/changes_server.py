"""``changes-server``."""

from collections.abc import Iterator

from ..model import Dialect, Hit, Linted, Rule


def check(linted: Linted, _dialect: Dialect) -> Iterator[Hit]:
    """Statements that were not tried, since they would not stay in the scratch database."""
    for effect in linted.effects:
        if effect.changes_server:
            yield Hit(effect, "It was not tried: it would change the server.", rewrite=())


RULE = Rule(
    code="changes-server",
    title="It changes the server, not this database alone",
    why="Roles, settings and tablespaces are shared by all databases of a server: the second database "
    "there finds them changed already, and the migration fails.",
    instead="Do it where the server is set up; or look first whether it is done, in a DO block.",
    check=check,
)
