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
from .in_step import keep_in_step, stop_keeping
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
    "keep_in_step",
    "migrating",
    "reading",
    "registering",
    "render_type",
    "row_checks",
    "snapshot",
    "stop_keeping",
    "timed_out",
]
