"""Writes the table of docs/map.md with the purpose of each part of the service.

It comes from the docstrings of the multi-tenant service, which has every part: their first
sentence, and the texts after ``May import:`` and ``Imported by:``. The layers come from the
contracts in the service's ``pyproject.toml``.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tools.services import TEMPLATE

MAP = TEMPLATE / "docs" / "map.md"
BEGIN, END = "<!-- written by make update -->\n", "<!-- until here -->\n"


def with_table(text: str, project: Path) -> str:
    """The page, with the table of this service between its two marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n".join(table(project)) + "\n" + END + after


def table(project: Path) -> Iterator[str]:
    """The layers, then a row for each package and each top-level module."""
    package = project / "src" / "my_service"
    yield "Layers, from top to bottom; each imports only from those below it:"
    yield ""
    yield from (f"{place}. {layer}" for place, layer in enumerate(layers(project), 1))
    yield ""
    yield "| Where | What | May import | Imported by |"
    yield "| --- | --- | --- | --- |"
    for path in parts(package):
        name = path.relative_to(package).as_posix().removesuffix("/__init__.py")
        where = name if name.endswith(".py") else f"{name}/"
        yield f"| `{where}` | {' | '.join(described(path))} |"


def layers(project: Path) -> list[str]:
    """The layers of the first contract."""
    settings = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    contract = settings["tool"]["importlinter"]["contracts"][0]
    return [
        ", ".join(f"`{name.strip(' ()')}`" for name in re.split(r"[|:]", layer))
        for layer in contract["layers"]
    ]


def parts(package: Path) -> Iterator[Path]:
    """The top-level modules, then the packages with their subpackages."""
    yield from (path for path in sorted(package.glob("*.py")) if path.name[0] != "_")
    yield from sorted(package.rglob("*/__init__.py"))


def described(path: Path) -> tuple[str, str, str]:
    """The parts of a module's docstring: its purpose, what it may import, what imports it."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    text = " ".join(docstring.split()).replace("``", "`")
    what = docstring.partition("\n\n")[0].replace("\n", " ").replace("``", "`")
    return what, after(text, "May import:"), after(text, "Imported by:")


def after(text: str, words: str) -> str:
    """The rest of the sentence that begins with these words; empty if there is none."""
    found = re.search(rf"{words} (.*?)\.( |$)", text)
    return found[1] if found else ""
