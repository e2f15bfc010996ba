"""When migrations run, and how long they wait."""

from pydantic import Field

from .base import BasePart, Seconds

TABLE_NAME = r"^[a-z_][a-z0-9_]{0,62}$"


class MigrationSettings(BasePart):
    """Limits of the migration engine."""

    auto_migrate: bool = Field(True, description="Migrate when the service starts.")
    migration_lock_timeout: Seconds = Field(
        60, ge=0, description="Seconds to wait for another process that migrates."
    )
    migration_table_lock_timeout: Seconds = Field(
        5,
        gt=0,
        description="Seconds that a migration may wait for a table's lock (PostgreSQL); "
        "requests for that table wait behind it.",
    )
    migration_table_lock_retries: int = Field(
        5, ge=0, description="Retries after a table stayed locked (PostgreSQL)."
    )
    migration_history_table: str = Field(
        "migration_history",
        pattern=TABLE_NAME,
        description="Table that says what was applied when. Services that share a schema need "
        "different ones.",
    )
    migration_version_table: str = Field(
        "alembic_version", pattern=TABLE_NAME, description="Alembic's table; the same goes for it."
    )
