"""Prints the SQL that ``latest`` would run, and changes nothing.

For PostgreSQL Alembic prints it. SQLite must read a table before it can alter it, so
there the SQL is recorded on a copy in memory. The answers to the template keep one of the two.

Belongs here: printing SQL instead of running it. May import: ``runner``,
``rolling`` and what is below them. Imported by: ``exports``.
"""

from .{{ cookiecutter.__backend }} import migration_sql

__all__ = ["migration_sql"]
