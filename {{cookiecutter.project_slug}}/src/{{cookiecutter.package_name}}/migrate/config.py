"""What the engine is handed, and how it sets up Alembic.

``migrations/env.py`` sets up plain Alembic with the same functions, so that ``alembic upgrade``
and the engine leave the same tables behind.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Engine, MetaData
from sqlalchemy.types import TypeDecorator

from .history import TABLE_NAME, HistoryWriter
from .results import MigrationError
from .scope import Scope
from .transaction import check_foreign_keys

if TYPE_CHECKING:
    from alembic.autogenerate.api import AutogenContext


@dataclass(frozen=True)
class MigrationConfig:
    """What the engine works on.

    Attributes:
        directory: the folder that holds ``versions/`` and ``script.py.mako``.
        load_metadata: gives the models' metadata; called when a migration is made or run.
        lock_timeout: seconds to wait for another process that migrates.
        table_lock_timeout: seconds a statement may wait for a table's lock (PostgreSQL). While it
            waits, every query on that table waits behind it.
        table_lock_retries: how often to start again when a table stayed locked.
        scope: the part of the database that is migrated.
        tenant_roles: whether each tenant's schema belongs to a role of its own.
    """

    directory: Path
    load_metadata: Callable[[], MetaData]
    lock_timeout: float = 60.0
    table_lock_timeout: float = 5.0
    table_lock_retries: int = 5
    scope: Scope = field(default_factory=Scope)
    tenant_roles: bool = False

    @property
    def versions(self) -> Path:
        """The folder of the migration files."""
        return self.directory / "versions"


def service_config() -> MigrationConfig:
    """The configuration of the service around this engine: ``migrations.config`` beside it."""
    package = __package__.rpartition(".")[0]
    config: MigrationConfig = import_module(f"{package}.migrations").config
    return config


def context_options(
    config: MigrationConfig, dialect: str, writer: HistoryWriter | None = None
) -> dict[str, Any]:
    """Options for Alembic's ``context.configure``."""
    return {
        "target_metadata": config.scope.tables(config.load_metadata()),
        "on_version_apply": (check_foreign_keys, writer or HistoryWriter()),
        "transactional_ddl": True,
        "scope": config.scope,
        "render_as_batch": dialect == "sqlite",
        "render_item": _render_stored_type,
        "include_name": _is_not_history,
        "compare_server_default": dialect != "sqlite",
    }


def _is_not_history(name: str | None, type_: str, _parents: object) -> bool:
    return not (type_ == "table" and name == TABLE_NAME)


def _render_stored_type(type_: str, item: Any, _context: "AutogenContext") -> str | Literal[False]:
    # A migration shows what the database stores, not a class that may change under it.
    if type_ == "type" and isinstance(item, TypeDecorator):
        return f"sa.{item.impl_instance!r}"
    return False


def check_engine(engine: object) -> None:
    """Refuse what is not an Engine.

    Raises:
        MigrationError: with what to hand over instead.
    """
    if not isinstance(engine, Engine):
        raise MigrationError(
            f"The migration engine takes a SQLAlchemy Engine, not {type(engine).__name__}.",
            "Nothing was run: a connection may carry a transaction that somebody else ends.",
            "Pass an Engine of create_engine(…); it may exist beside an AsyncEngine.",
        )
    if engine.dialect.is_async or engine.dialect.name not in ("sqlite", "postgresql"):
        raise MigrationError(
            f"The migration engine cannot work with {engine.url.drivername}.",
            "Nothing was run: it knows SQLite and PostgreSQL, through synchronous drivers.",
            'Make an engine of its own for it: create_engine("postgresql+psycopg://…")',
        )
