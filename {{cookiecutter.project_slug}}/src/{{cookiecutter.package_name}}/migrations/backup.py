"""This service's options of backups, for the engine."""

import logging
from collections.abc import Sequence

from sqlalchemy import Engine

from ..migrate import (
    BackupOptions,
    BeforeRun,
    DirectoryStore,
    MigrationConfig,
    create_backup,
)
from ..settings import Settings
from . import target

# Not structlog: the command line does not configure it, so it would print to standard output.
log = logging.getLogger(__name__)


def backup_options(settings: Settings) -> BackupOptions:
    """The folder and the options of backups. To store them elsewhere, write a ``Store``.

    Raises:
        ActionableError: the database's URL is invalid.
    """
    return BackupOptions(
        store=DirectoryStore(settings.backup_directory or settings.default_backup_directory),
        keep=settings.backup_keep,
        client=settings.backup_pg_dump,
        **target.backup_options(settings),
    )


def before_run(settings: Settings, config: MigrationConfig) -> BeforeRun:
    """The function to call before a run: it makes a backup, if the settings ask for it."""

    def back_up(engine: Engine, schemas: Sequence[str] | None, target: str) -> str | None:
        if not settings.backs_up:
            _tell_of_none(settings)
            return None
        options = backup_options(settings)
        made = create_backup(engine, config, options, schemas, target)
        if made is None:  # a new tenant has nothing to save
            return None
        log.info("Backed up: %s, %d bytes in %.1f s", made.name, made.size, made.duration)
        return made.name

    return back_up


def _tell_of_none(settings: Settings) -> None:
    # No warning for MIGRATION_BACKUP=off: that was chosen.
    if settings.in_production and settings.migration_backup is None:
        log.warning(
            "No backup is made before these migrations. Set MIGRATION_BACKUP=auto; or off, if you"
            " make backups in another way."
        )
