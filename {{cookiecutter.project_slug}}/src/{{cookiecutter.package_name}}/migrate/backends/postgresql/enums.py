"""Enum types: in PostgreSQL they are separate objects, so a migration creates and drops them."""

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Connection, Dialect, Enum, MetaData, inspect
from sqlalchemy.dialects.postgresql import ENUM, CreateEnumType, DropEnumType, dialect

from ..common import EnumStatements

if TYPE_CHECKING:
    from alembic.operations import ops


_DIALECT: Dialect = dialect()  # type: ignore[no-untyped-call]


def enum_types(
    connection: Connection, models: MetaData, operations: "Iterable[ops.MigrateOperation]"
) -> tuple[EnumStatements, EnumStatements]:
    """Types that the models have and the database lacks; and types that only dropped columns use.

    Args:
        operations: those that would make the database equal to the models.
    """
    there = {enum["name"] for enum in inspect(connection).get_enums()}  # type: ignore[attr-defined]
    columns = (column for table in models.tables.values() for column in table.columns)
    wanted = _enums(columns)
    used = _enums(_dropped_columns(operations))
    made = [enum for name, enum in wanted.items() if name not in there and enum.create_type]
    dropped = [enum for name, enum in used.items() if name in there and name not in wanted]
    return _statements(made), _statements(dropped)


def render_type(type_: Any, imports: set[str]) -> str | None:
    """A type in the form for a migration, if it differs from Alembic's.

    An enum in a column creates no type: the migration does it once, before the first use.
    """
    enum = type_.dialect_impl(_DIALECT) if isinstance(type_, Enum) else None
    if not isinstance(enum, ENUM):
        return None
    imports.add("from sqlalchemy.dialects import postgresql")
    labels = ", ".join(map(repr, enum.enums))
    schema = f", schema={enum.schema!r}" if enum.schema else ""
    return f"postgresql.ENUM({labels}, name={enum.name!r}{schema}, create_type=False)"


def _enums(columns: Iterable[Column[Any]]) -> dict[str, ENUM]:
    found = {}
    for column in columns:
        kind = column.type.dialect_impl(_DIALECT)
        kind = getattr(kind, "item_type", kind).dialect_impl(_DIALECT)
        if isinstance(kind, ENUM) and kind.name:
            found[str(kind.name)] = kind
    return found


def _dropped_columns(operations: "Iterable[ops.MigrateOperation]") -> Iterator[Column[Any]]:
    from alembic.operations import ops  # slow to import, and not needed at a start

    for operation in operations:
        match operation:
            case ops.ModifyTableOps():
                yield from _dropped_columns(operation.ops)
            case ops.DropTableOp():
                yield from operation.to_table().columns
            case ops.DropColumnOp():
                yield operation.to_column()


def _statements(enums: Iterable[ENUM]) -> EnumStatements:
    statements = EnumStatements()
    for enum in enums:
        statements.create.append(_sql(CreateEnumType(enum)))
        statements.drop.append(_sql(DropEnumType(enum)))
    return statements


def _sql(statement: CreateEnumType | DropEnumType) -> str:
    # For op.execute: a percent sign is literal, and a colon before a word would be a parameter.
    text = str(statement.compile(dialect=_DIALECT)).replace("%%", "%")
    return re.sub(r"(?<!:):(?=\w)", r"\\:", text)
