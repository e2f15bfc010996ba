"""The modules that ``processes.py`` imports once: the service, and late imports of its commands."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

for name in (
    "alembic.autogenerate",
    "alembic.command",
    "alembic.runtime.environment",
    "my_service.app",
    "my_service.cli",
    "my_service.migrate",
    "my_service.migrations",
    "psycopg",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.pysqlite",
):
    if find_spec(name.partition(".")[0]):
        import_module(name)
