"""This service's migrations: what the engine in ``migrate`` is handed."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path

from sqlalchemy import MetaData

from ..migrate import MigrationConfig
from ..settings import Settings
from . import target


def load_metadata() -> MetaData:
    """The tables of all models: those in a module ``models`` of one of the service's packages."""
    from ..database.base import Base

    service = Path(__file__).parents[1]
    for models in sorted(service.glob("*/models.py")):
        import_module(f"..{models.parent.name}.models", __name__)
    return Base.metadata


config = MigrationConfig(
    directory=Path(__file__).parent, load_metadata=load_metadata, scope=target.SCOPE
)


def config_for(settings: Settings) -> MigrationConfig:
    """The same with the limits that the environment sets."""
    return replace(
        config,
        lock_timeout=settings.migration_lock_timeout,
        table_lock_timeout=settings.migration_table_lock_timeout,
        table_lock_retries=settings.migration_table_lock_retries,
        **target.options(settings),
    )
