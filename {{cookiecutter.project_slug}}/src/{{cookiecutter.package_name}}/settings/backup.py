"""Backups: whether one is made before migrations, where they are kept, and how many."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr

from .database import DatabaseSettings


class BackupSettings(DatabaseSettings):
    """Backups before migrations."""

    migration_backup: Literal["off", "auto"] | None = Field(
        None,
        description="auto: make a backup before migrations run or are undone; when it fails, nothing "
        "is run. Default: auto for SQLite in production, else off.",
    )
    backup_directory: Path | None = Field(
        None,
        description="Folder for backups. Default: backups beside the SQLite database; data/backups "
        "for PostgreSQL.",
    )
    backup_keep: int = Field(
        10,
        ge=1,
        description="How many of this service's newest backups are kept. The one before the first of "
        "several runs that failed stays, too, until a run succeeds.",
    )
    backup_pg_dump: Path | None = Field(
        None,
        description="PostgreSQL's pg_dump, at least as new as the server, with pg_restore beside it. "
        "Default: the oldest that is new enough, of the wheel or of the PATH.",
    )

    def addressed(self, url: str) -> Self:
        """The same settings with another database. Whether the address can be one is not checked."""
        names = [name for name in type(self).model_fields if name.endswith("database_url")]
        return self.model_copy(update=dict.fromkeys(names, SecretStr(url)))

    @property
    def backs_up(self) -> bool:
        """Whether a backup is made before migrations."""
        default = self.in_production and self.backs_up_in_production
        return default if self.migration_backup is None else self.migration_backup == "auto"
