"""PostgreSQL, through psycopg 3."""

from . import backup, snapshot
from .connection import (
    chunk,
    column_names,
    ended_transaction,
    explain,
    is_forbidden,
    is_lost,
    is_there_already,
    may_pass,
    migrating,
    reading,
    refusal,
    row_checks,
    timed_out,
    was_interrupted,
)
from .enums import enum_types, render_type
from .in_step import keep_in_step, stop_keeping
from .lock import Lock, registering
from .online import make_online
from .recreate import copies_rebuilt, reads_rows, recreate
from .scratch import scratch

DIALECT = "postgresql"
DRIVER = "postgresql+psycopg://…"
SCHEMA = "public"  # the default schema
ALEMBIC_OPTIONS = {"render_as_batch": False, "compare_server_default": True}

__all__ = [
    "ALEMBIC_OPTIONS",
    "DIALECT",
    "DRIVER",
    "SCHEMA",
    "Lock",
    "backup",
    "chunk",
    "column_names",
    "copies_rebuilt",
    "ended_transaction",
    "enum_types",
    "explain",
    "is_forbidden",
    "is_lost",
    "is_there_already",
    "keep_in_step",
    "make_online",
    "may_pass",
    "migrating",
    "reading",
    "reads_rows",
    "recreate",
    "refusal",
    "registering",
    "render_type",
    "row_checks",
    "scratch",
    "snapshot",
    "stop_keeping",
    "timed_out",
    "was_interrupted",
]
