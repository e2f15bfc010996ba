"""The difference between the models and the database: as code of a migration, and in words."""

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine

from ..alembic_options import context_options
from ..backends import backend
from ..backends.common import Online
from ..config import MigrationConfig
from ..folder import Folder
from ..results import ModelDifference
from ..rolling.old_code import allow_old_code

LEFT_OUT = (
    "# No model has these tables, and no migration here made them. Remove the # to drop them."
)


@dataclass(frozen=True)
class Draft:
    """A migration before it is written.

    Attributes:
        files: values for ``script.py.mako``, for each file to write.
        differences: the changes, and the objects that it does not change.
    """

    files: tuple[dict[str, str], ...]
    differences: tuple[ModelDifference, ...]


def draft_migration(
    engine: Engine, config: MigrationConfig, folder: Folder, *, plain: bool = False
) -> Draft:
    """Compare the models with the database.

    Args:
        plain: write what Alembic generates; otherwise a form that is safe on a live site.

    Raises:
        ActionableError: database-away.
    """
    options = context_options(config)
    with backend.reading(engine, config.scope) as connection:
        context = MigrationContext.configure(connection, opts=options)
        found = produce_migrations(context, options["target_metadata"]).upgrade_ops
        assert found is not None
        kept, left_out = _divide(found.ops, folder)
        made, dropped = backend.enum_types(connection, options["target_metadata"], kept)
    words = list(_words([*map(ops.ExecuteSQLOp, made.create), *kept]))
    words += _words(map(ops.ExecuteSQLOp, dropped.drop))
    words += (_left_out(one) for one in _words(left_out))
    steps = Online(kept) if plain else backend.make_online(kept)
    notes = [] if plain else list(allow_old_code(steps.inside, engine.dialect))
    inside = [
        *map(ops.ExecuteSQLOp, made.create),
        *steps.inside,
        *map(ops.ExecuteSQLOp, dropped.drop),
    ]
    undo = ops.UpgradeOps(steps.inside).reverse().ops
    undoing = [*map(ops.ExecuteSQLOp, dropped.create), *undo, *map(ops.ExecuteSQLOp, made.drop)]
    writer = _Writer(context, options)
    lines = [*notes, writer.code(inside)]
    if left_out:
        lines += [LEFT_OUT, *_commented(writer.code(left_out))]
    files = [_file(writer, "\n".join(lines), undoing)]
    if steps.upgrade:
        outside = _file(writer, writer.code(steps.upgrade), steps.downgrade, alone="yes")
        files = [*files[: bool(inside or left_out)], outside]
    return Draft(tuple(files), tuple(words))


class _Writer:
    """Writes operations as Python, and collects the necessary imports."""

    def __init__(self, context: MigrationContext, options: dict[str, Any]) -> None:
        self.context = context
        self.options = options
        self.imports: set[str] = set()

    def code(self, operations: Sequence[ops.MigrateOperation]) -> str:
        """One statement on each line, not indented; ``pass`` if there is none."""
        text = render_python_code(
            ops.UpgradeOps(operations),
            render_as_batch=self.options["render_as_batch"],
            render_item=self._render_item,
            migration_context=self.context,
        )
        lines = [line.removeprefix("    ") for line in text.splitlines()]
        return "\n".join(line for line in lines if not line.startswith("# ###"))

    def _render_item(self, type_: str, item: Any, context: Any) -> Any:
        # Alembic renders with its own set of imports, which only such a hook can read.
        self.imports |= context.imports
        context.imports = self.imports
        return self.options["render_item"](type_, item, context)


def _file(
    writer: _Writer, upgrades: str, undoing: Sequence[ops.MigrateOperation], alone: str = ""
) -> dict[str, str]:
    downgrades = writer.code(undoing)
    return {
        "upgrades": _indented(upgrades),
        "downgrades": _indented(downgrades),
        "imports": "\n".join(sorted(writer.imports)),
        "outside_transaction": alone,
    }


def _divide(
    operations: Sequence[ops.MigrateOperation], folder: Folder
) -> tuple[list[ops.MigrateOperation], list[ops.MigrateOperation]]:
    """The operations to write, and those on tables that another program created."""
    named = " ".join(text for path in folder.paths.values() for text in _texts(path))
    foreign = {
        operation.table_name
        for operation in operations
        if isinstance(operation, ops.DropTableOp)
        and not re.search(rf"(?<!\w){re.escape(operation.table_name)}(?!\w)", named)
    }
    kept = [o for o in operations if getattr(o, "table_name", None) not in foreign]
    return kept, [o for o in operations if o not in kept]


def _texts(path: Path) -> Iterator[str]:
    """Every string in a file's code, but not names that are composed at run time."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = None  # a docstring creates no table
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _commented(code: str) -> Iterator[str]:
    return (f"# {line}" for line in code.splitlines())


def _indented(code: str) -> str:
    # The template has the indentation of the first line.
    return "\n".join(line and f"    {line}" for line in code.splitlines()).removeprefix("    ")


def _words(operations: Iterable[ops.MigrateOperation]) -> Iterator[ModelDifference]:
    for operation in operations:
        if isinstance(operation, ops.ModifyTableOps):
            yield from _words(operation.ops)
        else:
            text = _said(operation)
            yield ModelDifference(text, drops=text.startswith("drop "))


def _left_out(difference: ModelDifference) -> ModelDifference:
    return ModelDifference(difference.text, drops=difference.drops, left_out=True)


def _said(operation: Any) -> str:
    table = getattr(operation, "table_name", None) or getattr(operation, "source_table", None)
    match operation:
        case ops.ExecuteSQLOp():
            return str(operation.sqltext)
        case ops.CreateTableOp():
            return f"create table {table}"
        case ops.DropTableOp():
            return f"drop table {table}"
        case ops.AddColumnOp():
            return f"add column {table}.{operation.column.name}"
        case ops.DropColumnOp():
            return f"drop column {table}.{operation.column_name}"
        case ops.AlterColumnOp():
            return f"change column {table}.{operation.column_name}: {_changes(operation)}"
        case ops.CreateIndexOp():
            return f"create index {operation.index_name} on {table}"
        case ops.DropIndexOp():
            return f"drop index {operation.index_name} of {table}"
        case ops.AddConstraintOp():
            return f"add constraint {operation.to_constraint().name} to {table}"
        case ops.DropConstraintOp():
            return f"drop constraint {operation.constraint_name} of {table}"
    return f"{type(operation).__name__.removesuffix('Op')} of {table}"


def _changes(operation: ops.AlterColumnOp) -> str:
    changes = {
        "type": operation.modify_type is not None,
        "nullable" if operation.modify_nullable else "not nullable": (
            operation.modify_nullable is not None
        ),
        "default": operation.modify_server_default is not False,
        "comment": operation.modify_comment is not False,
    }
    return ", ".join(name for name, is_so in changes.items() if is_so)
