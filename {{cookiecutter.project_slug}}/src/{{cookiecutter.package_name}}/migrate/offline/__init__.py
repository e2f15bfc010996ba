"""The SQL that ``latest`` would run, printed; nothing is touched.

PostgreSQL's is printed by Alembic. SQLite cannot alter most of a table without reading it first, so
there it is recorded on a copy in memory. The answers to the template kept one of the two.

Belongs here: how SQL is written instead of run. May import: ``runner``, ``plan``, ``backends``.
Imported by: ``api``.
"""

from .{{ cookiecutter.__backend }} import migration_sql

__all__ = ["migration_sql"]
