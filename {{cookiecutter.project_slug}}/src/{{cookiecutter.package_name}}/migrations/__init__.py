"""This service's migrations, and the configuration of the engine in ``migrate`` for them.

Belongs here: the migration files, the guide, and the engine's configuration. May import:
``migrate``, ``settings``, ``database``, ``errors``. Imported by: ``startup``, ``replica``, ``web``,
``cli``, ``app``, the domain packages, and ``migrate.config`` for the configuration.
"""

from dataclasses import replace
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sqlalchemy import MetaData

from ..migrate import MigrationConfig
from ..settings import Settings
from ..settings.base import SERVICE
from . import target
from .backup import before_run


def load_metadata() -> MetaData:
    """The tables of all models: those in a module ``models`` of one of the service's packages."""
    from ..database.base import Base

    service = Path(__file__).parents[1]
    for models in sorted(service.glob("*/models.py")):
        import_module(f"..{models.parent.name}.models", __name__)
    return Base.metadata


def release() -> str | None:
    """The installed version of this service; None if it is not installed."""
    try:
        return version(SERVICE)
    except PackageNotFoundError:
        return None


config = MigrationConfig(
    directory=Path(__file__).parent,
    load_metadata=load_metadata,
    scope=target.SCOPE,
    service=SERVICE,
    load_release=release,
)


def config_for(settings: Settings) -> MigrationConfig:
    """The configuration with the settings of the environment."""
    limited = replace(
        config,
        lock_timeout=settings.migration_lock_timeout,
        table_lock_timeout=settings.migration_table_lock_timeout,
        table_lock_retries=settings.migration_table_lock_retries,
        backfill_pause=settings.migration_backfill_pause,
        history_table=settings.migration_history_table,
        version_table=settings.migration_version_table,
        verify=settings.migration_verify,
        excluded=settings.migration_excluded,
        lint_small_tables=settings.lint_small_tables,
        **target.options(settings),
    )
    return replace(limited, before_run=before_run(settings, limited))
