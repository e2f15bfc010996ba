"""Schema-per-tenant, tested inside a baked service: see ``tests/test_tenants.py``."""
