"""Writes migration files: ``migrate make`` and ``migrate squash``.

``difference`` compares models and database, and writes it down as code; ``added`` asks git which
files a branch adds.

Belongs here: what reads or writes files of ``versions/`` beside a run. May import: ``checks``,
``rolling``, ``runner`` and what is below it. Imported by: ``api``.
"""
