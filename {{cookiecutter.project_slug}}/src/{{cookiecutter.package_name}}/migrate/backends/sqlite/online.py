"""What ``migrate make`` writes so that a live site goes on: in SQLite, what Alembic writes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..common import Online

if TYPE_CHECKING:
    from alembic.operations import ops


def make_online(operations: "Sequence[ops.MigrateOperation]") -> Online:
    """Nothing is taken apart: SQLite builds indexes and tables under its one lock for writers."""
    return Online(list(operations))
