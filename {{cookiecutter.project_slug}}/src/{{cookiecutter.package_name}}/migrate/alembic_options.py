"""Alembic's options for a configuration."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy.types import TypeDecorator

from .alembic_bridge import render_type
from .backends import backend
from .config import MigrationConfig
from .scope import Fills

if TYPE_CHECKING:
    from alembic.autogenerate.api import AutogenContext


def context_options(config: MigrationConfig, *hooks: Callable[..., None]) -> dict[str, Any]:
    """Options for Alembic's ``context.configure``.

    Args:
        hooks: called after each step, in its transaction.
    """
    return {
        "target_metadata": config.scope.tables(config.load_metadata()),
        "on_version_apply": hooks,
        "transactional_ddl": True,
        "scope": config.scope,
        "fills": config.scope.fills if config.awaits_backfills else Fills.NEVER,
        "service": config.service,
        "version_table": config.version_table,
        "render_item": _render_stored_type,
        "include_name": lambda name, type_, _: (
            type_ != "table" or not config.leaves_out(name or "")
        ),
        **backend.ALEMBIC_OPTIONS,
    }


def _render_stored_type(type_: str, item: Any, context: "AutogenContext") -> str | Literal[False]:
    if type_ != "type":
        return False
    if isinstance(item, TypeDecorator):
        # A migration names the database's type, not a class that may change later.
        assert context.dialect is not None
        return render_type(item.load_dialect_impl(context.dialect), context)
    return backend.render_type(item, context.imports) or False
