"""The database of this engine. The rest of the engine names no database.

There is one package for each database; the answers to the template keep one of them. ``backend``
has its names, which are the same for every database:

- ``DRIVER``: the driver part of its URLs.
- ``SCHEMA``: the default schema.
- ``ALEMBIC_OPTIONS``: options for Alembic.
- ``reading``, ``migrating``: connections; ``chunk``: a transaction of a backfill.
- ``column_names``: the columns of a table.
- ``Lock``: the lock of the one migrator; ``registering`` prevents contracts meanwhile.
- ``backup``: saving, restoring and swapping the database.
- ``snapshot``: the schema from the catalog, as rows and as a hash.
- ``scratch``: an empty database to try migrations in.
- ``keep_in_step``, ``stop_keeping``: the statements for triggers between two columns.
- ``enum_types``, ``make_online``, ``render_type``: what ``migrate make`` writes only for this
  database.
- ``row_checks``, ``timed_out``, ``was_interrupted``, ``is_there_already``, ``ended_transaction``,
  ``explain``, ``refusal``, ``is_forbidden``, ``is_lost``, ``may_pass``: checks of its errors and
  state.

Belongs here: the code that differs by database; for SQL without a database see ``offline``. May
import: ``config``, ``scope``, ``errors``, ``results``, ``patterns``, ``lint``. Imported by: the engine's other modules.
"""

from . import backend

__all__ = ["backend"]
