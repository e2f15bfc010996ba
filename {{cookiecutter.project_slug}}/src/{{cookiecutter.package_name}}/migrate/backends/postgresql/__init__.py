"""PostgreSQL, through psycopg 3."""

from . import snapshot
from .connection import (
    ended_transaction,
    explain,
    is_forbidden,
    migrating,
    reading,
    row_checks,
    timed_out,
)
from .enums import enum_types, render_type
from .lock import Lock, registering

DIALECT = "postgresql"
DRIVER = "postgresql+psycopg://…"
ALEMBIC_OPTIONS = {"render_as_batch": False, "compare_server_default": True}

__all__ = [
    "ALEMBIC_OPTIONS",
    "DIALECT",
    "DRIVER",
    "Lock",
    "ended_transaction",
    "enum_types",
    "explain",
    "is_forbidden",
    "migrating",
    "reading",
    "registering",
    "render_type",
    "row_checks",
    "snapshot",
    "timed_out",
]
