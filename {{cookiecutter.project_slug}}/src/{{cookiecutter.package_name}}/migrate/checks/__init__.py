"""Is the database what its migrations make? Verify, diff and baseline.

Each compares two snapshots (see ``drift``): one of the database as it is, one of a scratch database
on the same server to which the migrations were applied.

Belongs here: what compares a schema with the chain. May import: ``drift``, ``runner`` and what is
below it. Imported by: ``api``, ``tenants``, ``writing``.
"""
