"""Enum types: SQLite has none; such a column is text."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, MetaData

from ..common import EnumStatements

if TYPE_CHECKING:
    from alembic.operations import ops


def enum_types(
    _connection: Connection, _models: MetaData, _operations: "Iterable[ops.MigrateOperation]"
) -> tuple[EnumStatements, EnumStatements]:
    """The statements that create and drop types: none."""
    return EnumStatements(), EnumStatements()


def render_type(_type: Any, _imports: set[str]) -> str | None:
    """A type in the form for a migration, if it differs from Alembic's: never."""
    return None
