"""Analyses a migration's file: does it use input from outside?

Input from outside is time, chance, files and the network. Two canaries show it only if they got
different values. So the file is analysed: it may use only modules and names that give the same
answer for every tenant.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import __name__ as SQLALCHEMY

# Modules whose functions always give the same answer.
_SAME_FOR_ALL = frozenset(
    {
        "__future__", "base64", "binascii", "collections", "contextlib", "copy", "dataclasses",
        "datetime", "decimal", "enum", "fractions", "functools", "hashlib", "html", "itertools",
        "json", "logging", "math", "numbers", "operator", "re", "string", "struct", "textwrap",
        "types", "typing", "unicodedata", "warnings", "zlib",
    }
)  # fmt: skip
_OF_SQLALCHEMY = frozenset({"dialects", "exc", "orm", "schema", "sql", "types"})
# These make connections, or listen to them.
_CONNECTING = frozenset(
    {"connect", "create_async_engine", "create_engine", "create_pool_from_url", "dbapi"}
    | {"engine_from_config", "event", "loaded_dbapi"}
    # What a default of a column can reach by its context.
    | {"cursor", "dbapi_connection", "driver_connection", "engine", "pgconn", "root_connection"}
    # SQLAlchemy logs what the server notices.
    | {"addFilter", "addHandler", "basicConfig", "captureWarnings", "config", "filters", "handlers"}
    | {"lastResort", "manager", "root", "setLogRecordFactory", "setLoggerClass"}
    # By these a file reaches modules that it may not import, its callers, and any attribute.
    | {"attrgetter", "dispatch", "f_back", "import_dbapi", "methodcaller", "os", "sys", "threading"}
)
_CLOCK = frozenset({"fromtimestamp", "now", "today", "utcfromtimestamp", "utcnow"})
_BUILT_IN = frozenset(
    {"__import__", "compile", "delattr", "eval", "exec", "getattr", "globals"}
    | {"hash", "id", "input", "locals", "open", "setattr", "vars"}
)
_OF_THE_ENGINE = frozenset(
    {"Backfill", "keep_in_step", "shared_only", "stop_keeping", "tenant_only"}
)


def find_outside_input(path: Path) -> str | None:
    """A part of the file that may give two tenants different values; None if there is none."""
    tree = ast.parse(path.read_bytes(), filename=str(path))
    return next((name for node in ast.walk(tree) for name in _outside(node)), None)


def _outside(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (name.name for name in node.names if not _is_same_for_all(name.name))
    elif isinstance(node, ast.ImportFrom):
        yield from (
            f"{node.module or '.'}.{name.name}"
            for name in node.names
            if not _may_import(node, name.name)
        )
    elif isinstance(node, ast.Name) and node.id in _BUILT_IN:
        yield node.id
    elif isinstance(node, ast.Attribute) and _is_outside(node):
        yield node.attr


def _is_outside(node: ast.Attribute) -> bool:
    if not isinstance(node.ctx, ast.Load):  # in place of a method it may put one that listens
        return True
    if node.attr in _CLOCK:
        return _last_name(node.value) != "func"  # sa.func.now() is the server's function
    return node.attr in _CONNECTING or (node.attr[:1] == "_" and node.attr != "__name__")


def _may_import(node: ast.ImportFrom, name: str) -> bool:
    if name in _OF_THE_ENGINE and (node.module or "").split(".")[-1] in ("migrate", "decorators"):
        return True
    if node.level or name == "*" or name in _CONNECTING:
        return False
    if node.module == "alembic":
        return name == "op"
    if node.module == SQLALCHEMY:
        return name[:1].isupper() or name.islower()
    return _is_same_for_all(node.module or "")


def _is_same_for_all(module: str) -> bool:
    top, _, rest = module.partition(".")
    if top == SQLALCHEMY:
        return not rest or rest.split(".")[0] in _OF_SQLALCHEMY
    return top in _SAME_FOR_ALL


def _last_name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
