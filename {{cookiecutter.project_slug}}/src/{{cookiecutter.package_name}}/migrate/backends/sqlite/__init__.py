"""SQLite, through the driver of Python's standard library."""

DIALECT = "sqlite"
DRIVER = "sqlite:///…"
SCHEMA = "main"  # the default schema
ALEMBIC_OPTIONS = {"render_as_batch": True, "compare_server_default": False}
