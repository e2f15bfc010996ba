"""PostgreSQL, through psycopg 3."""

DIALECT = "postgresql"
DRIVER = "postgresql+psycopg://…"
SCHEMA = "public"  # the default schema
ALEMBIC_OPTIONS = {"render_as_batch": False, "compare_server_default": True}
