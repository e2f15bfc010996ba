"""Comparing the database with what its migrations make: verify, diff and baseline.

Each compares two snapshots (see ``drift``): one of the database, and one of a scratch database
on the same server to which the migrations were applied.

Belongs here: code that compares a schema with the chain. May import: ``drift``, ``runner`` and what
is below it. Imported by: ``commands``, ``tenants``, ``writing``, ``exports``.
"""
