"""Settings of the migration engine: when it runs, how long it waits, its tables."""

from pydantic import Field

from .base import BasePart, Seconds

TABLE_NAME = r"^[a-z_][a-z0-9_]{0,62}$"


class MigrationSettings(BasePart):
    """Limits of the migration engine."""

    auto_migrate: bool = Field(True, description="Migrate when the service starts.")
    migration_lock_timeout: Seconds = Field(
        60, ge=0, description="Seconds to wait while another process migrates."
    )
    migration_table_lock_timeout: Seconds = Field(
        5,
        gt=0,
        description="Seconds that a migration may wait for a table's lock (PostgreSQL); "
        "other queries of that table wait behind it.",
    )
    migration_table_lock_retries: int = Field(
        5, ge=0, description="Retries when a table is still locked after that time (PostgreSQL)."
    )
    migration_history_table: str = Field(
        "migration_history",
        pattern=TABLE_NAME,
        description="Table of applied migrations. Services that share a schema need "
        "different tables.",
    )
    migration_version_table: str = Field(
        "alembic_version",
        pattern=TABLE_NAME,
        description="Alembic's table of the current revision. Services that share a schema need "
        "different tables.",
    )
