"""First or demonstration rows: ``seed make NAME``, ``seed run``."""
