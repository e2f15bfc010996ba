"""The migration engine, tested inside a baked service: see ``tests/generated/test_inside.py``."""
