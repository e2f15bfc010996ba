"""The database: models' base, column types, engine and sessions.

Belongs here: how the service reaches its database. May import: ``settings``, ``errors``. Imported
by: ``web``, ``startup``, ``migrations``, ``cli`` and the domain packages; only ``backend`` imports
the module of a database.
"""
