"""Makes the migrations of ``migrate make`` safe for a live site: on SQLite nothing changes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..common import Online

if TYPE_CHECKING:
    from alembic.operations import ops


def make_online(operations: "Sequence[ops.MigrateOperation]") -> Online:
    """Nothing is separated: SQLite builds indexes and tables under its one lock for writers."""
    return Online(list(operations))
