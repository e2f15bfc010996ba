"""Drift: what a database has that its migrations did not make, and what it lacks.

:func:`take_snapshot` describes a schema from the database's catalog, :func:`compare` says in words
how two descriptions differ, and :func:`read_fingerprints` tells of ten thousand schemas at once
which of them are the same.

This package knows a SQLAlchemy Connection and the name of a schema, and nothing else of the
engine. Nothing here changes a database.

Belongs here: snapshots and their differences; what depends on the database is in ``backends``. May
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
