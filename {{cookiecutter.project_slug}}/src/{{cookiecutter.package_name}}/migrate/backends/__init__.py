"""The database that this engine works on. The rest of the engine names none.

One package for each database, with the same names in each; the answers to the template kept one:

- ``DRIVER``: how an address of this database begins.
- ``SCHEMA``: the schema of tables that no scope has put elsewhere.
- ``ALEMBIC_OPTIONS``: what Alembic is told about it.
- ``reading``, ``migrating``: connections; ``chunk``: a transaction of a backfill.
- ``Lock``: the lock that one migrator at a time holds; ``registering`` keeps contracts away.
- ``backup``: how it is saved, restored and swapped.
- ``snapshot``: what the catalog says of a schema, as rows and as a hash.
- ``scratch``: an empty database, to try migrations in.
- ``keep_in_step``, ``stop_keeping``: the statements for triggers between two columns.
- ``enum_types``, ``make_online``, ``render_type``: what ``migrate make`` writes for this database alone.
- ``row_checks``, ``timed_out``, ``was_interrupted``, ``is_there_already``, ``ended_transaction``,
  ``explain``, ``refusal``, ``is_forbidden``, ``is_lost``, ``may_pass``: what only it can say.

Belongs here: whatever differs by database. May import: ``config``, ``scope``, ``errors``,
``results``. Imported by: the engine's other modules.
"""

from . import {{ cookiecutter.__backend }} as backend

__all__ = ["backend"]
