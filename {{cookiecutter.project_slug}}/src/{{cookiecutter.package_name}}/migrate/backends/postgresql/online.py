"""Makes the migrations of ``migrate make`` safe for a live site.

A step that reads a whole table blocks others only for a moment if it runs outside a
transaction: an index is built CONCURRENTLY, a constraint is added NOT VALID and validated
afterwards. Each such step can be run again after a failure in the middle.
"""

from collections.abc import Sequence
from copy import copy
from typing import TYPE_CHECKING

from sqlalchemy.dialects import postgresql

from ..common import Online

if TYPE_CHECKING:
    from alembic.operations import ops

_NAME_BYTES = 63
_quote = postgresql.dialect().identifier_preparer.quote  # type: ignore[no-untyped-call]


def make_online(operations: "Sequence[ops.MigrateOperation]") -> Online:
    """Separate the operations on existing tables that must run outside a transaction."""
    from alembic.operations import ops  # slow to import, and not needed at a start

    made = {one.table_name for one in operations if isinstance(one, ops.CreateTableOp)}
    online = Online()
    for operation in operations:
        if not isinstance(operation, ops.ModifyTableOps) or operation.table_name in made:
            online.inside.append(operation)
            continue
        kept = [one for change in operation.ops for one in _kept(change, online)]
        if kept:
            table, schema = operation.table_name, operation.schema
            online.inside.append(ops.ModifyTableOps(table, kept, schema=schema))
    return online


def _kept(change: "ops.MigrateOperation", online: Online) -> "Sequence[ops.MigrateOperation]":
    """Move operations that run outside to ``online``; return the others."""
    from alembic.operations import ops

    match change:
        case ops.CreateIndexOp(index_name=str(name)):
            _move_index(change, name, online)
        case ops.CreateForeignKeyOp(constraint_name=str(name)):
            _move_constraint(change, change.source_table, name, online)
        case ops.CreateCheckConstraintOp(constraint_name=str(name)):
            _move_constraint(change, change.table_name, name, online)
        case ops.AlterColumnOp(modify_nullable=False):
            return _move_not_null(change, online)
        case _:
            return [change]
    return []


def _move_index(change: "ops.CreateIndexOp", name: str, online: Online) -> None:
    from alembic.operations import ops

    drop = ops.DropIndexOp(
        name,
        change.table_name,
        schema=change.schema,
        if_exists=True,
        postgresql_concurrently=True,
    )
    change.kw["postgresql_concurrently"] = True
    # A failed build leaves an invalid index: drop it before the next attempt.
    online.upgrade.extend((drop, change))
    online.downgrade[:0] = [drop]


def _move_constraint(
    change: "ops.CreateForeignKeyOp | ops.CreateCheckConstraintOp",
    table: str,
    name: str,
    online: Online,
) -> None:
    undo = change.reverse()
    change.kw["postgresql_not_valid"] = True
    drop = _alter(table, f"DROP CONSTRAINT IF EXISTS {_quote(name)}")
    validate = _alter(table, f"VALIDATE CONSTRAINT {_quote(name)}")
    online.upgrade.extend((drop, change, validate))
    online.downgrade[:0] = [undo]


def _move_not_null(change: "ops.AlterColumnOp", online: Online) -> "Sequence[ops.MigrateOperation]":
    """NOT NULL by a validated CHECK, so that PostgreSQL need not read the table again."""
    table, column = change.table_name, change.column_name
    name = _quote(f"{table}_{column}_not_null".encode()[:_NAME_BYTES].decode(errors="ignore"))
    only, rest = copy(change), copy(change)
    only.modify_type, only.modify_server_default, only.modify_comment = None, False, False
    rest.modify_nullable = None
    check = f"ADD CONSTRAINT {name} CHECK ({_quote(column)} IS NOT NULL) NOT VALID"
    before = (f"DROP CONSTRAINT IF EXISTS {name}", check, f"VALIDATE CONSTRAINT {name}")
    online.upgrade.extend(_alter(table, action) for action in before)
    online.upgrade.extend((only, _alter(table, f"DROP CONSTRAINT {name}")))
    online.downgrade[:0] = [only.reverse()]
    return [rest] if rest.has_changes() else []


def _alter(table: str, action: str) -> "ops.ExecuteSQLOp":
    from alembic.operations import ops

    return ops.ExecuteSQLOp(f"ALTER TABLE {_quote(table)} {action}")
