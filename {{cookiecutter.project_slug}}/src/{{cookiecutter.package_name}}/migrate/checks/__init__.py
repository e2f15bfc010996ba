"""Is the database what its migrations make? Verify, diff and baseline.

Each compares two snapshots (:mod:`..drift`): of a database as it is, and of the chain of
migrations, applied to a scratch database on the same server.

Belongs here: what compares a schema with the chain. May import: ``drift``, ``runner`` and what is
below it. Imported by: ``api``, ``tenants``, ``writing``.
"""
