"""PostgreSQL, through psycopg 3."""

from . import backup, snapshot
from .connection import ended_transaction, explain, migrating, reading, row_checks, timed_out
from .enums import enum_types, render_type
from .lock import Lock

DIALECT = "postgresql"
DRIVER = "postgresql+psycopg://…"
ALEMBIC_OPTIONS = {"render_as_batch": False, "compare_server_default": True}

__all__ = [
    "ALEMBIC_OPTIONS",
    "DIALECT",
    "DRIVER",
    "Lock",
    "backup",
    "ended_transaction",
    "enum_types",
    "explain",
    "migrating",
    "reading",
    "render_type",
    "row_checks",
    "snapshot",
    "timed_out",
]
