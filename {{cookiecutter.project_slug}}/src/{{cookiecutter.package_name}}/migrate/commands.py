"""Knex's commands that change a database: latest, up, down and rollback."""

from sqlalchemy import Engine

from . import select
from .backfilling import upgrade_and_fill
from .checks.verify import verified
from .config import MigrationConfig, default_config
from .folder import Folder
from .results import MigrationResult
from .runner import downgrade


def run_migrations(
    engine: Engine, *, config: MigrationConfig | None = None, allow_changed: bool = False
) -> MigrationResult:
    """Apply all pending migrations as one batch (knex migrate:latest).

    The whole run is one transaction, unless a pending migration says ``transaction = False``; then
    each migration is one transaction. Backfills run afterwards, when others may migrate again;
    then the migrations that waited for them are applied as a separate batch.

    Args:
        config: the configuration; default: this service's own migrations.
        allow_changed: continue although applied files were edited, and store their new
            checksums.
    """
    config = config or default_config()
    folder = Folder(config)
    result = upgrade_and_fill(
        engine, config, select.all_pending, folder=folder, allow_changed=allow_changed
    )
    return verified(engine, config, result, folder=folder)


def migrate_up(
    engine: Engine, name: str | None = None, *, config: MigrationConfig | None = None
) -> MigrationResult:
    """Apply the next pending migration as its own batch (knex migrate:up).

    Args:
        name: file name, revision or the name given to ``make``; it must be the next.
    """
    choice = select.next_pending if name is None else select.pending_called(name)
    config = config or default_config()
    folder = Folder(config)
    result = upgrade_and_fill(engine, config, choice, folder=folder)
    return verified(engine, config, result, folder=folder)


def migrate_down(
    engine: Engine, name: str | None = None, *, config: MigrationConfig | None = None
) -> MigrationResult:
    """Undo the newest applied migration (knex migrate:down).

    Args:
        name: file name, revision or the name given to ``make``; it must be the newest applied.
    """
    choice = select.newest if name is None else select.applied_called(name)
    config = config or default_config()
    folder = Folder(config)
    result = downgrade(engine, config, choice, folder=folder)
    return verified(engine, config, result, folder=folder)


def rollback_migrations(
    engine: Engine, *, everything: bool = False, config: MigrationConfig | None = None
) -> MigrationResult:
    """Undo the newest batch, last applied first (knex migrate:rollback).

    Each migration is undone in its own transaction: after a failure the finished ones stay undone,
    and a new rollback continues.

    Args:
        everything: undo all batches.
    """
    choice = select.every_batch if everything else select.newest_batch
    config = config or default_config()
    folder = Folder(config)
    result = downgrade(engine, config, choice, folder=folder)
    return verified(engine, config, result, folder=folder)
