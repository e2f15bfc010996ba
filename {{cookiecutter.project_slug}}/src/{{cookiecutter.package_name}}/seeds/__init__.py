"""Initial or demonstration rows: ``seed make NAME``, ``seed run``.

Belongs here: numbered files with a function ``run(session)``. May import: the domain packages.
Imported by: nobody; the engine loads them by path.
"""
