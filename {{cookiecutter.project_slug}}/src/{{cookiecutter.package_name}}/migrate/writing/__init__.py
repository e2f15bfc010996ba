"""Writes migration files: ``migrate make`` and ``migrate squash``.

``difference`` compares models and database, and writes the difference as code; ``added`` asks git
for the files that a branch adds.

Belongs here: code that reads or writes files of ``versions/`` outside of a run. May import:
``checks``, ``rolling``, ``runner`` and what is below it. Imported by: ``exports``.
"""
