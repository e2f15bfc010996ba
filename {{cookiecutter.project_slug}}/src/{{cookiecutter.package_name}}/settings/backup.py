"""Settings of backups before migrations: on or off, folder, number."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr

from .database import DatabaseSettings


class BackupSettings(DatabaseSettings):
    """Backups before migrations."""

    migration_backup: Literal["off", "auto"] | None = Field(
        None,
        description="auto: make a backup before migrations are applied or undone; if the backup "
        "fails, nothing runs. Default: auto for SQLite in production, otherwise off.",
    )
    backup_directory: Path | None = Field(
        None,
        description="Folder for backups. Default: backups, next to the SQLite database; "
        "data/backups for PostgreSQL.",
    )
    backup_keep: int = Field(
        10,
        ge=1,
        description="Number of backups to keep; older ones of this service are deleted. The backup "
        "from before the first of several failed runs stays as well, until a run succeeds.",
    )
    backup_pg_dump: Path | None = Field(
        None,
        description="Path of PostgreSQL's pg_dump, at least as new as the server; pg_restore must "
        "be in the same folder. Default: the oldest one that is new enough, from the wheel or the "
        "PATH.",
    )

    def addressed(self, url: str) -> Self:
        """The same settings with another database. The URL is not checked."""
        names = [name for name in type(self).model_fields if name.endswith("database_url")]
        return self.model_copy(update=dict.fromkeys(names, SecretStr(url)))

    @property
    def backs_up(self) -> bool:
        """Whether a backup is made before migrations."""
        default = self.in_production and self.backs_up_in_production
        return default if self.migration_backup is None else self.migration_backup == "auto"
