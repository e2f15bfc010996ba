"""The records of runs: their end, their duration, and their waits.

``timings`` and ``other_runs`` write during a run; ``runs`` and ``stats`` read afterwards.

Belongs here: data about runs in addition to the history's rows. May import: ``history``
and what is below it. Imported by: ``runner``, ``attempt``, ``tenants``, ``exports``.
"""
