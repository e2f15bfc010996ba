"""Tests of the migration engine. They run inside a baked service: see ``tests/test_engine.py``."""
