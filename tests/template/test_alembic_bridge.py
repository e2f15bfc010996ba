"""The engine uses undocumented parts of Alembic in one file, ``alembic_bridge.py``."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Bake

# What Alembic's API pages describe.
DOCUMENTED = {
    "alembic": {"context", "op"},
    "alembic.autogenerate": {"produce_migrations", "render_python_code"},
    "alembic.autogenerate.api": {"AutogenContext"},
    "alembic.operations": {"ops"},
    "alembic.runtime.migration": {"MigrationContext", "MigrationInfo"},
    "alembic.script": {"Script", "ScriptDirectory"},
}
# Attributes of Alembic's objects that they do not describe.
UNDOCUMENTED = {
    "_install_proxy",
    "_remove_proxy",
    "as_sql",
    "context_opts",
    "impl",
    "migration_fn",
    "opts",
    "revision_map",
}


def undocumented(path: Path) -> Iterator[str]:
    """The undocumented parts of Alembic that a file uses."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names if one.name.split(".")[0] == "alembic")
        elif isinstance(node, ast.ImportFrom) and not node.level:
            module = node.module or ""
            known = DOCUMENTED.get(module, set())
            if module.split(".")[0] == "alembic":
                yield from (f"{module}.{one.name}" for one in node.names if one.name not in known)
        elif isinstance(node, ast.Attribute) and node.attr in UNDOCUMENTED:
            yield node.attr
        elif isinstance(node, ast.keyword) and (node.arg or "").startswith("_"):
            yield f"{node.arg}="


@pytest.mark.parametrize("database", ["sqlite", "postgresql-multi-tenant"])
def test_only_the_bridge_uses_undocumented_parts_of_alembic(bake: Bake, database: str) -> None:
    package = bake(database=database) / "src" / "my_service"
    found = {
        path.relative_to(package).as_posix(): names
        for folder in ("migrate", "migrations")
        for path in (package / folder).rglob("*.py")
        if (names := set(undocumented(path)))
    }
    assert found.keys() == {"migrate/alembic_bridge.py"}, found
