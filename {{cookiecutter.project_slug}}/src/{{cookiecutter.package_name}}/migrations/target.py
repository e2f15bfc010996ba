"""The target of the migrations: the whole database."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, Select, column, select, table

from ..migrate import (
    MigrationConfig,
    MigrationResult,
    Scope,
    get_migration_status,
    run_backfills,
    run_migrations,
)
from ..settings import Settings
from ..words import are

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

SCOPE = Scope()

# The repeated tasks of a running instance, by name.
REPEATED: Mapping[str, Callable[[Engine, MigrationConfig], None]] = {}


def fingerprint(config: MigrationConfig) -> Select[Any]:
    """A query for all values in the database on which :func:`can_serve` depends.

    The files do not change while the service runs. The first column is the revision.
    """
    version = table(config.version_table, column("version_num"))
    return select(version.c.version_num).order_by(version.c.version_num)


def options(_settings: Settings) -> dict[str, Any]:
    """Fields of the engine's configuration for this kind of target."""
    return {}


def apply_pending(engine: Engine, config: MigrationConfig) -> MigrationResult:
    """Apply all pending migrations that are not held back."""
    return run_migrations(engine, config=config)


def backup_options(_settings: Settings) -> dict[str, Any]:
    """Fields of the backups' options for this kind of target."""
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
    """Run backfills until they are finished or ``stopped`` returns true.

    Raises:
        ActionableError: a chunk failed, or the database does not answer.
    """
    run_backfills(engine, config=config, stopped=stopped).raise_for_error()


def _tell_held_back(result: MigrationResult) -> None:
    if result.held_back:
        _log().warning("Held back", migrations=result.held_back, by=result.held_by)


def look_at_start(engine: Engine, config: MigrationConfig) -> None:
    """Nothing: only migrations matter here."""


def count_tenants(_engine: Engine) -> list[tuple[str | None, str, int]] | None:
    """The number of tenants by revision and state: None, there are no tenants."""
    return None


def compare_tenants(_engine: Engine, _config: MigrationConfig) -> tuple[int, int, int] | None:
    """The numbers of compared, different and left-out tenants: None, there are no tenants."""
    return None


def can_serve(engine: Engine, config: MigrationConfig) -> tuple[bool, str | None]:
    """Whether the schema is the one that this version of the service needs, with the reason.

    Raises:
        ActionableError: the database does not answer, or the migration files are not in order.
    """
    status = get_migration_status(engine, config=config)
    if status.unknown_contracts and status.problem:
        return False, status.problem.problem
    needed = status.needed
    return not needed, are(len(needed), "migration", "pending") if needed else None


def _log() -> "BoundLogger":
    import structlog  # Slow to import, and commands do not log.

    logger: BoundLogger = structlog.stdlib.get_logger(__name__)
    return logger
