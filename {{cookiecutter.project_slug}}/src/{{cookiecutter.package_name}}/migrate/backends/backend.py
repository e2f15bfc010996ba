"""The names that the package of this engine's database provides; ``backends`` explains them."""

from .{{ cookiecutter.__backend }} import ALEMBIC_OPTIONS, DIALECT, DRIVER, SCHEMA, backup, snapshot
from .{{ cookiecutter.__backend }}.connection import (
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
from .{{ cookiecutter.__backend }}.enums import enum_types, render_type
from .{{ cookiecutter.__backend }}.in_step import keep_in_step, stop_keeping
from .{{ cookiecutter.__backend }}.lock import Lock, registering
from .{{ cookiecutter.__backend }}.online import make_online
from .{{ cookiecutter.__backend }}.recreate import copies_rebuilt, reads_rows, recreate
from .{{ cookiecutter.__backend }}.scratch import scratch

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
