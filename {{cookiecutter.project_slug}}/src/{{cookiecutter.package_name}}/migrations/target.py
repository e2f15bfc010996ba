"""What the migrations are applied to: the whole database."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, text

from ..migrate import (
    MigrationConfig,
    MigrationResult,
    Scope,
    get_migration_status,
    run_backfills,
    run_migrations,
)
from ..settings import Settings

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

SCOPE = Scope()

# What :func:`can_serve` depends on in the database. The files stay as they are while it runs.
FINGERPRINT = text("SELECT version_num FROM alembic_version ORDER BY 1")


def options(_settings: Settings) -> dict[str, Any]:
    """Fields of the engine's configuration that only this kind of target has."""
    return {}


def apply_pending(engine: Engine, config: MigrationConfig) -> MigrationResult:
    """Apply what is pending and not held back."""
    return run_migrations(engine, config=config)


def backup_options(_settings: Settings) -> dict[str, Any]:
    """Fields of the backups' options that only this kind of target has."""
    return {}


def bring_up_to_date(engine: Engine, config: MigrationConfig) -> None:
    """Apply all pending migrations.

    Raises:
        ActionableError: a migration failed.
    """
    result = apply_pending(engine, config).raise_for_error()
    count = len(result.migrations)
    _log().info("Migrated", batch=result.batch, migrations=count, seconds=round(result.duration, 3))
    _tell_held_back(result)


def fill(engine: Engine, config: MigrationConfig, stopped: Callable[[], bool]) -> None:
    """Work off backfills until they are finished, or ``stopped`` says yes.

    Raises:
        ActionableError: a chunk failed, or the database does not answer.
    """
    run_backfills(engine, config=config, stopped=stopped)


def _tell_held_back(result: MigrationResult) -> None:
    if result.held_back:
        _log().warning("Held back", migrations=result.held_back, by=result.held_by)


def look_at_start(engine: Engine, config: MigrationConfig) -> None:
    """There is nothing to look at beside migrations."""


def count_tenants(_engine: Engine) -> list[tuple[str | None, str, int]] | None:
    """How many tenants are at which revision in which state: None, there are no tenants."""
    return None


def compare_tenants(_engine: Engine, _config: MigrationConfig) -> tuple[int, int, int] | None:
    """How many tenants were compared, differ, and were left out: None, there are no tenants."""
    return None


def can_serve(engine: Engine, config: MigrationConfig) -> tuple[bool, str | None]:
    """Whether the schema is the one that this version of the service needs, and why not.

    Raises:
        ActionableError: the database does not answer, or the migration files are not in order.
    """
    status = get_migration_status(engine, config=config)
    if status.unknown_contracts and status.problem:
        return False, status.problem.problem
    needed = status.needed
    return not needed, f"{len(needed)} migrations are pending" if needed else None


def _log() -> "BoundLogger":
    import structlog  # slow to import, and a command logs nothing

    logger: BoundLogger = structlog.stdlib.get_logger(__name__)
    return logger
