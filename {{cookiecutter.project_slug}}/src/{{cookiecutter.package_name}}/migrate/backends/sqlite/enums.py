"""Enum types: SQLite has none. A column of one is text."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, MetaData

from ..common import EnumStatements

if TYPE_CHECKING:
    from alembic.operations import ops


def enum_types(
    _connection: Connection, _models: MetaData, _operations: "Iterable[ops.MigrateOperation]"
) -> tuple[EnumStatements, EnumStatements]:
    """The statements that make and drop types: none."""
    return EnumStatements(), EnumStatements()


def render_type(_type: Any, _imports: set[str]) -> str | None:
    """A type as a migration writes it, where Alembic would write something else: none."""
    return None
