"""What ``migrate make`` writes so that a live site goes on.

What reads a whole table keeps others out no longer than a moment when it runs outside a
transaction: an index is built CONCURRENTLY, a constraint is added NOT VALID and validated afterwards.
Each such step can be run again after one that failed in the middle.
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
    """Take apart what must run outside a transaction on tables that are there."""
    from alembic.operations import ops  # slow to import, and a start needs none of it

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
    """Move to ``online`` what runs outside; return what does not."""
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
    """NOT NULL by a checked constraint: with that, PostgreSQL need not read the table again."""
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
