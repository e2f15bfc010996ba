"""This service's migrations: what the engine in ``migrate`` is handed."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path

from sqlalchemy import MetaData

from ..migrate import MigrationConfig
from ..settings import Settings

# Modules with models. A table that is in none of them is invisible to "migrate make".
MODELS = ("users.models",)


def load_metadata() -> MetaData:
    """The tables of all models."""
    package = __package__.rpartition(".")[0]
    for module in MODELS:
        import_module(f"{package}.{module}")
    base = import_module(f"{package}.database.base").Base
    metadata: MetaData = base.metadata
    return metadata


config = MigrationConfig(directory=Path(__file__).parent, load_metadata=load_metadata)


def config_for(settings: Settings) -> MigrationConfig:
    """The same with the limits that the environment sets."""
    return replace(
        config,
        lock_timeout=settings.migration_lock_timeout,
        table_lock_timeout=settings.migration_table_lock_timeout,
        table_lock_retries=settings.migration_table_lock_retries,
    )
