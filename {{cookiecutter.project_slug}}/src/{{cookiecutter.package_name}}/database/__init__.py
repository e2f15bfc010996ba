"""The database: models' base, column types, engine and sessions.

Belongs here: the service's access to its database. May import: ``settings``, ``errors``. Imported
by: ``web``, ``startup``, ``replica``, ``migrations``, ``cli`` and the domain packages; only
``backend`` imports the module of a specific database.
"""
