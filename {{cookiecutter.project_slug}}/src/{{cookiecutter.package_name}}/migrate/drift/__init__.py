"""Drift: the differences between a database and what its migrations made.

:func:`take_snapshot` describes a schema from the database's catalog, :func:`compare` lists the
differences of two descriptions in words, and :func:`read_fingerprints` finds the equal ones of ten
thousand schemas at once.

This package needs only a SQLAlchemy Connection and the name of a schema. It does not change a
database.

Belongs here: snapshots and their differences; code for one database is in ``backends``. May
import: ``backends``, ``bookkeeping``. Imported by: the engine's other modules.
"""

from ..bookkeeping import BOOKKEEPING, find_bookkeeping
from .diff import Difference, compare
from .snapshot import Item, Snapshot, read_fingerprints, take_snapshot

__all__ = [
    "BOOKKEEPING",
    "Difference",
    "Item",
    "Snapshot",
    "compare",
    "find_bookkeeping",
    "read_fingerprints",
    "take_snapshot",
]
