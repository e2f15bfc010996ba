"""Checks that a migration file still does the same as when it was applied.

A checksum has two halves, 64 characters in all: one of the file's bytes, which is quick to compare,
and one of its code, which does not change with formatting and comments.
Checksums of version 0.1.0 are the SHA-256 of the bytes, and are compared as such.
"""

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path

SEPARATOR = ":"
BYTES_LENGTH = 31
MEANING_LENGTH = 32
# Fields of Python's syntax tree that describe the spelling, not the meaning.
_HOW_IT_WAS_WRITTEN = {"kind", "type_comment", "ctx", "type_ignores", "type_params"}


def checksum(path: Path) -> str:
    """The checksum of a migration file.

    Raises:
        SyntaxError: the file is not valid Python.
    """
    content = _content(path)
    return f"{_digest(content)[:BYTES_LENGTH]}{SEPARATOR}{_meaning(content)}"


def is_same_file(path: Path, kept: str) -> bool:
    """Whether the file's bytes match the checksum. It is quick; line ends do not matter."""
    digest = _digest(_content(path))
    return kept == digest or kept.startswith(digest[:BYTES_LENGTH] + SEPARATOR)


def does_the_same(path: Path, kept: str) -> bool:
    """Whether the file's code matches the checksum."""
    if is_same_file(path, kept):
        return True
    _, separator, meaning = kept.partition(SEPARATOR)
    return bool(separator) and meaning == _meaning(_content(path))


def _content(path: Path) -> bytes:
    return path.read_bytes().replace(b"\r\n", b"\n")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _meaning(content: bytes) -> str:
    tree = ast.parse(content)
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    # Tools may sort imports; the order does not matter.
    others = [node for node in tree.body if node not in imports]
    parts = [*sorted("".join(_written(node)) for node in imports), *_body(others)]
    return _digest("\n".join(parts).encode())[:MEANING_LENGTH]


def _body(statements: list[ast.stmt]) -> Iterator[str]:
    for place, node in enumerate(statements):
        if place == 0 and _is_docstring(node):
            continue
        yield "".join(_written(node))


def _written(node: object) -> Iterator[str]:
    """A node as text, the same in all versions of Python, unlike ``ast.dump``."""
    if isinstance(node, ast.AST):
        yield f"{type(node).__name__}("
        for name, value in ast.iter_fields(node):
            if name in _HOW_IT_WAS_WRITTEN or value is None or value == []:
                continue
            yield f"{name}="
            if name == "body" and isinstance(value, list):
                yield from _body(value)
            else:
                yield from _written(value)
            yield ","
        yield ")"
    elif isinstance(node, list):
        yield "["
        for item in node:
            yield from _written(item)
            yield ","
        yield "]"
    else:
        yield repr(node)


def _is_docstring(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
