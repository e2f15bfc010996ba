"""What a run leaves to look at: how it ended, how long it took, and what it waited for.

``timings`` and ``other_runs`` write while a run happens; ``runs`` and ``stats`` read it afterwards.

Belongs here: what is kept of runs beside the history's own rows. May import: ``history``,
``backends``, ``config``. Imported by: ``runner``, ``api``.
"""
