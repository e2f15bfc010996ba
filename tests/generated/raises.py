"""Finds the errors that the functions of a package can raise, from its source.

The package is parsed, never imported. A function raises the errors of its ``raise`` statements, and
those of the functions that it calls, unless a ``try`` around the call catches them. Calls are
resolved by name, imports and annotations. Libraries are not analysed.

There are two views of the same code, because static analysis is not exact:

- ``certain``: only calls whose target is known. All errors that it finds can be raised.
- ``possible``: also each function or property whose name is mentioned, on any object. All errors
  that it does not find cannot be raised by this package.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
Scope = FunctionNode | ast.ClassDef | ast.Module
CATCH_ALL = {"Exception", "BaseException"}


@dataclass(frozen=True, order=True)
class Raised:
    """An exception class of the package, its code and, if it answers a request, its status."""

    name: str
    status: int | None = None
    code: str | None = None

    def __str__(self) -> str:
        return " ".join(map(str, filter(None, (self.name, self.status, self.code))))


@dataclass(eq=False)
class Function:
    """A function or method, with the data to resolve names in it."""

    name: str
    node: FunctionNode
    module: Module
    owner: str | None = None  # the class of a method
    outer: Function | None = None  # the function around it

    def __str__(self) -> str:
        return f"{self.module.name}: {f'{self.owner}.' if self.owner else ''}{self.name}"

    @property
    def is_public(self) -> bool:
        """Whether it is public: no part of its path begins with an underscore."""
        path = [*self.module.name.split("."), self.owner or "", self.name]
        return self.outer is None and not any(part.startswith("_") for part in path)

    @property
    def names(self) -> set[str]:
        """Every name that the body mentions."""
        return {node.id for node in ast.walk(self.node) if isinstance(node, ast.Name)}

    @property
    def is_abstract(self) -> bool:
        """Whether the body is empty: a protocol's method."""
        return all(
            isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            for statement in self.node.body
        )

    @property
    def decorators(self) -> set[str]:
        """Names of the decorators, without their objects: ``get`` for ``@router.get``."""
        called = (d.func if isinstance(d, ast.Call) else d for d in self.node.decorator_list)
        return {getattr(d, "attr", "") or getattr(d, "id", "") for d in called}

    @property
    def raises_section(self) -> str:
        """The docstring's section ``Raises:``."""
        text = ast.get_docstring(self.node) or ""
        found = re.search(r"^Raises:\n((?:[ \t]+.*\n?)+)", text, re.MULTILINE)
        return found[1] if found else ""


@dataclass(eq=False)
class Module:
    """A module: its functions, classes, and where its names come from."""

    name: str
    tree: ast.Module
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)  # name -> module, name there
    stars: list[str] = field(default_factory=list)  # modules all of whose names are imported
    functions: dict[str, Function] = field(default_factory=dict)
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)

    @cached_property
    def exports(self) -> set[str]:
        """The names in ``__all__``; for ``__all__ = other.__all__`` a name that does not exist."""
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
                names = [n.value for n in ast.walk(node.value) if isinstance(n, ast.Constant)]
                return set(map(str, names)) or {"*"}
        return set()


class Package:
    """All modules of a package below ``folder``, which is the package's own folder."""

    def __init__(self, folder: Path) -> None:
        self.root = folder.name
        self.modules = dict(self._read(folder))
        self.by_name: dict[str, list[Function]] = {}
        for function in self.functions:
            self.by_name.setdefault(function.name, []).append(function)

    @cache  # noqa: B019 (a package lives as long as the test that reads it)
    def reach(self, name: str) -> frozenset[str]:
        """The modules that a module imports, directly or through others, and itself."""
        reached, waiting = set(), [name]
        while waiting:
            module = waiting.pop()
            if module in self.modules and module not in reached:
                reached.add(module)
                found = self.modules[module]
                for source, imported in found.imports.values():
                    waiting += [source, f"{source}.{imported}"]
                waiting += found.stars
        return frozenset(reached)

    @cached_property
    def functions(self) -> list[Function]:
        """Every function and method of the package, nested ones too."""
        return [f for module in self.modules.values() for f in module.functions.values()]

    @cached_property
    def certain(self) -> Mapping[Function, set[Raised]]:
        """The errors of each function, from its known calls."""
        return _spread(self.functions, lambda f: _Reader(self, f, loose=False))

    @cached_property
    def possible(self) -> Mapping[Function, set[Raised]]:
        """The errors of each function, if every name could mean every function of that name."""
        return _spread(self.functions, lambda f: _Reader(self, f, loose=True))

    @cached_property
    def codes(self) -> set[str]:
        """The codes of all errors that the package makes."""
        made = (_Reader(self, function, loose=False).returned() for function in self.functions)
        return {raised.code for found in made for raised in found if raised.code}

    def documented(self, function: Function) -> Iterator[Raised]:
        """The section ``Raises:`` of the function's docstring; its text may contain codes.

        A method without a docstring has that of the protocol's method of the same name.
        """
        section = function.raises_section
        if not ast.get_docstring(function.node) and function.owner:
            others = (f for f in self.by_name[function.name] if f.is_abstract and f.owner)
            section = "".join(other.raises_section for other in others)
        for line in re.split(r"^    (?=\S)", section, flags=re.MULTILINE):
            if match := re.match(r"([\w.]+): (?:(\d{3})\b)?", line):
                codes = self.codes.intersection(re.findall(r"[a-z0-9-]+", line))
                for code in codes or [None]:
                    yield Raised(match[1], int(match[2]) if match[2] else None, code)

    @cached_property
    def errors(self) -> dict[str, set[str]]:
        """The package's exception classes, each with the names of its bases and its own."""
        bases = {
            name: {getattr(base, "id", getattr(base, "attr", "")) for base in node.bases}
            for module in self.modules.values()
            for name, node in module.classes.items()
        }
        found: dict[str, set[str]] = {}
        for name in bases:
            family, new = set[str](), {name}
            while new:
                family |= new
                new = {base for known in new for base in bases.get(known, set())} - family
            if family & {"Exception", "BaseException"}:
                found[name] = family
        return found

    def _read(self, folder: Path) -> Iterator[tuple[str, Module]]:
        for path in sorted(folder.rglob("*.py")):
            if not path.stem.isidentifier():
                continue  # migrations and seeds are loaded by path and are not modules
            parts = [self.root, *path.relative_to(folder).with_suffix("").parts]
            package = parts[:-1]
            name = ".".join(package if parts[-1] == "__init__" else parts)
            module = Module(name, ast.parse(path.read_text(encoding="utf-8")))
            _collect(module, module.tree, None, None)
            for node in ast.walk(module.tree):
                if isinstance(node, ast.ImportFrom) and node.level:
                    base = ".".join(package[: len(package) - node.level + 1])
                    source = f"{base}.{node.module}" if node.module else base
                    for alias in node.names:
                        if alias.name == "*":
                            module.stars.append(source)
                        else:
                            module.imports[alias.asname or alias.name] = (source, alias.name)
            yield name, module

    def look_up(self, module: Module, name: str) -> Module | Function | tuple[Module, str] | None:
        """The meaning of a module-level name: a module, a function, or a class with its module."""
        if name in module.functions:
            return module.functions[name]
        if name in module.classes:
            return module, name
        if name not in module.imports:
            sources = (self.modules[star] for star in module.stars)
            offers = (one for one in sources if name in one.exports or not one.exports)
            found = [meaning for one in offers if (meaning := self.look_up(one, name))]
            return found[0] if found else None
        source, original = module.imports[name]
        if f"{source}.{original}" in self.modules:
            return self.modules[f"{source}.{original}"]
        home = self.modules.get(source)
        return self.look_up(home, original) if home and home is not module else None

    def is_face(self, function: Function) -> bool:
        """Whether it is public and in the ``__all__`` of a surrounding package."""
        if not function.is_public:
            return False
        parts = function.module.name.split(".")
        around = [self.modules.get(".".join(parts[:end])) for end in range(1, len(parts))]
        faces = [package for package in around if package and package.exports]
        name = function.owner or function.name
        means = (function.module, function.owner) if function.owner else function
        return not faces or any(self.look_up(package, name) == means for package in faces)

    def method(self, where: tuple[Module, str] | None, name: str) -> Function | None:
        """A class's method, its own or a base's."""
        if where is None:
            return None
        module, owner = where
        if found := module.functions.get(f"{owner}.{name}"):
            return found
        for base in module.classes[owner].bases:
            if found := self.method(self.class_of(module, base), name):
                return found
        return None

    def class_of(self, module: Module, annotation: ast.expr | None) -> tuple[Module, str] | None:
        """The package's class in an annotation: also in ``X | None`` and ``Annotated[X, …]``."""
        match annotation:
            case ast.Constant(value=str(text)):
                return self.class_of(module, ast.parse(text, mode="eval").body)
            case ast.BinOp(left=left, right=right):
                return self.class_of(module, left) or self.class_of(module, right)
            case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[first, *_])):
                return self.class_of(module, first)
            case ast.Name(id=name):
                found = self.look_up(module, name)
                return found if isinstance(found, tuple) else self._alias(module, name)
            case ast.Attribute(value=ast.Name(id=name), attr=attr):
                holder = self.look_up(module, name)
                found = self.look_up(holder, attr) if isinstance(holder, Module) else None
                return found if isinstance(found, tuple) else None
        return None

    def _alias(self, module: Module, name: str) -> tuple[Module, str] | None:
        # AccountsDep = Annotated[Accounts, Depends(get_accounts)]
        if name in module.imports:
            source, name = module.imports[name]
            module = self.modules.get(source, module)
        for node in module.tree.body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == name:
                return self.class_of(module, node.value)
        return None


class _Reader:
    """Reads one function's body: its own errors, and its calls with the errors that are caught."""

    def __init__(self, package: Package, function: Function, *, loose: bool) -> None:
        self.package, self.function, self.loose = package, function, loose
        self.module = function.module
        self.raises: set[Raised] = set()
        self.calls: list[tuple[Function, frozenset[str]]] = []
        self.types = dict(self._types())
        self.values: dict[str, ast.expr] = {}
        for statement in function.node.body:
            self._visit(statement, frozenset(), frozenset())

    def _types(self) -> Iterator[tuple[str, tuple[Module, str]]]:
        if self.function.outer is not None:
            yield from _Reader(self.package, self.function.outer, loose=False).types.items()
        arguments = self.function.node.args
        for argument in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]:
            if found := self.package.class_of(self.module, argument.annotation):
                yield argument.arg, found
        if self.function.owner is not None and arguments.args:
            yield arguments.args[0].arg, (self.module, self.function.owner)

    def _visit(self, node: ast.AST, caught: frozenset[str], handled: frozenset[str]) -> None:
        if isinstance(node, FunctionNode | ast.ClassDef):
            return
        if isinstance(node, ast.Lambda) and not self.loose:
            return
        if isinstance(node, ast.Try):
            self._visit_try(node, caught, handled)
            return
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            self._note_type(node.targets[0].id, node.value)
        if isinstance(node, ast.NamedExpr):
            self._note_type(node.target.id, node.value)
        if isinstance(node, ast.Raise):
            self._note_raise(node, caught, handled)
        for target in self._targets(node):
            self.calls.append((target, caught))
        for child in ast.iter_child_nodes(node):
            self._visit(child, caught, handled)

    def _visit_try(self, node: ast.Try, caught: frozenset[str], handled: frozenset[str]) -> None:
        kinds = [_names(handler.type) or {"BaseException"} for handler in node.handlers]
        for statement in node.body:
            self._visit(statement, caught.union(*kinds), handled)
        for handler, kind in zip(node.handlers, kinds, strict=True):
            if any(
                isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(handler)
            ):
                # The handler raises the error again: read the body again without this handler.
                others = [names for names in kinds if names is not kind]
                for statement in node.body:
                    self._visit(statement, caught.union(*others), handled)
            for statement in handler.body:
                self._visit(statement, caught, frozenset(kind))
        for statement in [*node.orelse, *node.finalbody]:
            self._visit(statement, caught, handled)

    def _note_type(self, name: str, value: ast.expr) -> None:
        self.values[name] = value
        if found := self._type(value):
            self.types[name] = found

    def _note_raise(self, node: ast.Raise, caught: frozenset[str], handled: frozenset[str]) -> None:
        for raised in self._raised(node.exc):
            if not self.catches(caught, raised):
                self.raises.add(raised)

    def _raised(self, value: ast.expr | None) -> Iterator[Raised]:
        if value is None:
            return
        raised = self.values.get(value.id, value) if isinstance(value, ast.Name) else value
        if isinstance(raised, ast.Call):
            target = self._resolve(raised.func)
            if isinstance(target, Function) and (
                found := set(_Reader(self.package, target, loose=False).returned())
            ):
                yield from found
                return
        found_type = self._type(value) or self.package.class_of(self.module, value)
        if found_type and found_type[1] in self.package.errors:
            yield Raised(found_type[1])

    def returned(self) -> Iterator[Raised]:
        """The errors that the function returns, by its annotation and its ``return`` statements."""
        found = self.package.class_of(self.module, self.function.node.returns)
        if found is None or found[1] not in self.package.errors:
            return
        for node in ast.walk(self.function.node):
            if isinstance(node, ast.Return) and isinstance(node.value, ast.Call):
                target = self._resolve(node.value.func)
                if isinstance(target, Function) and target is not self.function:
                    yield from _Reader(self.package, target, loose=False).returned()
                else:
                    values = [getattr(argument, "value", None) for argument in node.value.args[:2]]
                    status = next((value for value in values if isinstance(value, int)), None)
                    code = next((value for value in values if isinstance(value, str)), None)
                    yield Raised(found[1], status, code)

    def catches(self, caught: frozenset[str], raised: Raised) -> bool:
        """Whether a handler around catches it."""
        return bool(caught & (self.package.errors[raised.name] | CATCH_ALL))

    def _targets(self, node: ast.AST) -> Iterator[Function]:
        if isinstance(node, ast.Call):
            target = self._resolve(node.func)
            if isinstance(target, tuple):
                target = self.package.method(target, "__init__")
            if isinstance(target, Function):
                yield target
        elif isinstance(node, ast.withitem):
            yield from self._entered(node.context_expr)
        elif self.loose and isinstance(node, ast.Attribute):
            # A call returns an object, which has methods and no functions of a module.
            is_object = isinstance(node.value, ast.Call)
            named = self.package.by_name.get(node.attr, [])
            near = self.package.reach(self.module.name)
            yield from (o for o in named if o.module.name in near and (o.owner or not is_object))
        elif self.loose and isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield from [t for t in [self._resolve(node)] if isinstance(t, Function)]
        elif isinstance(node, ast.Attribute):
            target = self.package.method(self._type(node.value), node.attr)
            if target is not None and target.decorators & {"property", "cached_property"}:
                yield target

    def _entered(self, manager: ast.expr) -> Iterator[Function]:
        """The ``__enter__`` of a ``with``; in the loose view all candidates of that name."""
        near = self.package.reach(self.module.name)
        for name in ("__enter__", "__aenter__"):
            if target := self.package.method(self._type(manager), name):
                yield target
            elif self.loose:
                named = self.package.by_name.get(name, [])
                yield from (function for function in named if function.module.name in near)

    def _resolve(self, node: ast.expr) -> Module | Function | tuple[Module, str] | None:
        if isinstance(node, ast.Name):
            around: Function | None = self.function
            while around is not None:
                if nested := self.module.functions.get(f"{_path(around)}.{node.id}"):
                    return nested
                around = around.outer
            return self.package.look_up(self.module, node.id)
        if isinstance(node, ast.Attribute):
            if isinstance(node.value, ast.Call) and getattr(node.value.func, "id", "") == "super":
                return self._inherited(node.attr)
            holder = self._resolve(node.value)
            if isinstance(holder, Module):
                return self.package.look_up(holder, node.attr)
            owner = holder if isinstance(holder, tuple) else self._type(node.value)
            return self.package.method(owner, node.attr)
        return None

    def _inherited(self, name: str) -> Function | None:
        if self.function.owner is None:
            return None
        for base in self.module.classes[self.function.owner].bases:
            if found := self.package.method(self.package.class_of(self.module, base), name):
                return found
        return None

    def _type(self, node: ast.expr) -> tuple[Module, str] | None:
        if isinstance(node, ast.Name):
            return self.types.get(node.id)
        if isinstance(node, ast.Attribute):
            return self._attribute_type(self._type(node.value), node.attr)
        if isinstance(node, ast.Call):
            target = self._resolve(node.func)
            if isinstance(target, tuple):
                return target
            if isinstance(target, Function):
                if getattr(target.node.returns, "id", "") == "Self":
                    return self._type(getattr(node.func, "value", node)) or self._named(node.func)
                return self.package.class_of(target.module, target.node.returns)
        return None

    def _named(self, node: ast.expr) -> tuple[Module, str] | None:
        found = self._resolve(node.value) if isinstance(node, ast.Attribute) else None
        return found if isinstance(found, tuple) else None

    def _attribute_type(
        self, owner: tuple[Module, str] | None, name: str
    ) -> tuple[Module, str] | None:
        if owner is None:
            return None
        module, class_name = owner
        for node in module.classes[class_name].body:
            if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == name:
                return self.package.class_of(module, node.annotation)
        return None


def _collect(module: Module, scope: Scope, owner: str | None, outer: Function | None) -> None:
    for node in (
        ast.iter_child_nodes(scope) if not isinstance(scope, FunctionNode) else _inner(scope)
    ):
        if isinstance(node, FunctionNode):
            function = Function(node.name, node, module, owner, outer)
            module.functions[_path(function)] = function
            _collect(module, node, None, function)
        elif isinstance(node, ast.ClassDef) and outer is None:
            module.classes[node.name] = node
            _collect(module, node, node.name, None)
        elif isinstance(node, ast.If | ast.Try | ast.With) and isinstance(scope, ast.Module):
            _collect(module, ast.Module(node.body, []), owner, outer)


def _inner(scope: FunctionNode) -> Iterator[ast.AST]:
    waiting: list[ast.AST] = list(scope.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, FunctionNode | ast.ClassDef):
            waiting += ast.iter_child_nodes(node)


def _path(function: Function) -> str:
    before = f"{_path(function.outer)}." if function.outer else ""
    return f"{before}{f'{function.owner}.' if function.owner else ''}{function.name}"


def _names(node: ast.expr | None) -> set[str]:
    nodes = node.elts if isinstance(node, ast.Tuple) else [node] if node is not None else []
    return {getattr(n, "id", getattr(n, "attr", "")) for n in nodes}


def _spread(
    functions: list[Function], read: Callable[[Function], _Reader]
) -> dict[Function, set[Raised]]:
    readers = {function: read(function) for function in functions}
    found = {function: set(reader.raises) for function, reader in readers.items()}
    changed = True
    while changed:
        changed = False
        for function, reader in readers.items():
            for target, caught in reader.calls:
                for raised in found[target] - found[function]:
                    if not reader.catches(caught, raised):
                        found[function].add(raised)
                        changed = True
    return found
