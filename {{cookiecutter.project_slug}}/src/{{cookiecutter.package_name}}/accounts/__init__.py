"""Accounts: register, confirm an address, sign in, change a password; and users for administrators.

Belongs here: all code about people who sign in. May import: ``web``, ``mail``,
``database``, ``settings``, ``errors``. Imported by: ``routes``, the seeds.
"""
