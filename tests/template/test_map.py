"""What the packages' docstrings say of imports, which is the table of docs/map.md."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Bake

from tools.service_map import described, parts

IMPLIED = ("words", "my_service")  # imported by all; not mentioned
DOMAINS = ("accounts", "operations", "tenants")
GENERAL = ("everything", "below", "modules", "nobody", "nothing of")  # not a list of names


def imports(package: Path, path: Path) -> Iterator[str]:
    """The modules of the service that a file imports, without the service's name."""
    here = [package.name, *path.relative_to(package).with_suffix("").parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = here[: -node.level] + (node.module.split(".") if node.module else [])
            for alias in node.names:
                name = [*base, alias.name]
                is_module = package.parent.joinpath(*name).with_suffix(".py").exists()
                is_package = package.parent.joinpath(*name, "__init__.py").exists()
                yield ".".join((name if is_module or is_package else base)[1:] or [package.name])


def is_in(module: str, part: str) -> bool:
    """Whether a module is a part, or inside it."""
    return module == part or module.startswith(f"{part}.")


@pytest.mark.parametrize("database", ["sqlite", "postgresql-multi-tenant"])
def test_what_the_docstrings_say_of_imports_is_true(bake: Bake, database: str) -> None:
    package = bake(database=database) / "src" / "my_service"
    edges = {
        (".".join(path.relative_to(package).with_suffix("").parts).removesuffix(".__init__"), name)
        for path in package.rglob("*.py")
        for name in imports(package, path)
    }
    wrong = []
    for path in parts(package):
        part = ".".join(path.relative_to(package).with_suffix("").parts).removesuffix(".__init__")
        _, may_import, imported_by = described(path)
        outward = {to for of, to in edges if is_in(of, part) and not is_in(to, part)}
        inward = {of for of, to in edges if is_in(to, part) and not is_in(of, part)}
        for said, modules in ((may_import, outward), (imported_by, inward)):
            if not said or any(word in said for word in GENERAL):
                continue
            named = said.split("`")[1::2]
            if "the domain packages" in said:
                named += DOMAINS
            near = [f"{part.rpartition('.')[0]}.{name}".strip(".") for name in named]
            wrong += [
                f"{part} says {said}: {module}"
                for module in sorted(modules)
                if not any(is_in(module, name) for name in (*named, *near, *IMPLIED))
            ]
    assert not wrong, "\n".join(wrong)
