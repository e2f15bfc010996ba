"""This service's backups: what the engine is handed to make them with."""

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

# Not structlog's: on the command line, which does not set it up, that would print to standard output.
log = logging.getLogger(__name__)


def backup_options(settings: Settings) -> BackupOptions:
    """Where backups are kept, and how they are made. To keep them elsewhere, write a ``Store``.

    Raises:
        ActionableError: the database's address cannot work.
    """
    return BackupOptions(
        store=DirectoryStore(settings.backup_directory or settings.default_backup_directory),
        keep=settings.backup_keep,
        client=settings.backup_pg_dump,
        **target.backup_options(settings),
    )


def before_run(settings: Settings, config: MigrationConfig) -> BeforeRun:
    """What is done before a run that has something to do: a backup, where the settings ask for it."""

    def back_up(engine: Engine, schemas: Sequence[str] | None, target: str) -> str | None:
        if not settings.backs_up:
            _tell_of_none(settings)
            return None
        options = backup_options(settings)
        made = create_backup(engine, config, options, schemas, target)
        if made is None:  # a tenant that is new has nothing to save
            return None
        log.info("Backed up: %s, %d bytes in %.1f s", made.name, made.size, made.duration)
        return made.name

    return back_up


def _tell_of_none(settings: Settings) -> None:
    # Who wrote MIGRATION_BACKUP=off knows it.
    if settings.in_production and settings.migration_backup is None:
        log.warning(
            "No backup is made before these migrations. Set MIGRATION_BACKUP=auto; or off, where"
            " backups are made otherwise."
        )
