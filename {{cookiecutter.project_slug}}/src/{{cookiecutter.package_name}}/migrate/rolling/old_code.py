"""Makes new columns safe for code that does not know them.

A NOT NULL column without a default makes every INSERT of the previous release fail, and
the migration too, if there are rows. So the column gets the model's default in the database; if the
model has none, the column is nullable until every row has a value.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from alembic.operations import ops
from sqlalchemy import Column, Dialect
from sqlalchemy.sql.schema import ScalarElementColumnDefault


def allow_old_code(operations: Iterable[ops.MigrateOperation], dialect: Dialect) -> Iterator[str]:
    """Change such columns of existing tables; yield a comment for each."""
    for operation in operations:
        if not isinstance(operation, ops.ModifyTableOps):
            continue
        for change in operation.ops:
            if isinstance(change, ops.AddColumnOp) and _refuses_old_code(change.column):
                name = f"{change.table_name}.{change.column.name}"
                default = _default(change.column, dialect)
                change.column = _changed(change.column, default)
                if default is None:
                    yield f"# {name} is nullable until every row has a value: give each one, then"
                    yield "# migrate make writes the NOT NULL."
                else:
                    yield f"# The default of {name} fills the existing rows, and helps code"
                    yield "# that does not know it yet; the next migrate make removes it."


def _refuses_old_code(column: Column[Any]) -> bool:
    has_value = column.server_default or column.computed or column.identity or column.primary_key
    return not column.nullable and not has_value


def _default(column: Column[Any], dialect: Dialect) -> str | None:
    """The model's default as the driver gets it, if it is one value that is text in SQL."""
    if not isinstance(column.default, ScalarElementColumnDefault):
        return None
    value = column.default.arg
    if process := column.type.dialect_impl(dialect).bind_processor(dialect):
        value = process(value)
    return None if isinstance(value, bytes) else str(value)


def _changed(column: Column[Any], default: str | None) -> Column[Any]:
    # The default is text, so that SQLite adds the column in place.
    return Column(
        column.name,
        column.type,
        nullable=default is None,
        server_default=default,
        comment=column.comment,
    )
