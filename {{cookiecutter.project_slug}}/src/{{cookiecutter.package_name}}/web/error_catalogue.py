"""Every error that the service can report, read from its own source.

Each package has its errors in ``errors.py`` or ``…_errors.py``: one function for each, which
returns the error; its docstring gives the cause and the solution. The files are read, not imported,
so that the page at ``/errors`` and the guide show errors of packages that this one may not import.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SERVICE = Path(__file__).parents[1]
HOLE = "…"  # stands for a value that is filled in when the error occurs
ERROR_CLASSES = {"ActionableError": 0, "HttpError": 1}  # how many arguments precede the code
_SECTION = re.compile(r"^# -- (.*?) -+$")


@dataclass(frozen=True)
class Entry:
    """One kind of error; ``…`` in its lines stands for a value.

    Attributes:
        package: folder of its file, relative to the service: accounts, migrate/tenants.
        section: heading for it and its neighbours: the file's first line, or the nearest comment
            ``# -- Heading ----`` above it.
        status: HTTP status if it is the answer to a request, else empty.
    """

    code: str
    problem: str
    impact: str
    solution: str
    cause_and_cure: str
    package: str
    section: str
    status: str


@cache
def read_catalogue(service: Path = SERVICE) -> tuple[Entry, ...]:
    """All errors, in the order of the files and within them.

    Raises:
        ValueError: a function returns an error in another form; the message names it and the
        reason.
    """
    files = [*service.rglob("errors.py"), *service.rglob("*_errors.py")]
    # A migration may have such a name too. Names of modules do not begin with a digit.
    modules = sorted(path for path in files if path.stem.isidentifier())
    return tuple(entry for path in modules for entry in _read(path, service))


def _read(path: Path, service: Path) -> Iterator[Entry]:
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    heading = (ast.get_docstring(tree) or path.stem).splitlines()[0].rstrip(".")
    constants = dict(_constants(tree))
    lines = source.splitlines()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and _name(node.returns) in ERROR_CLASSES:
            above = [match[1] for line in lines[: node.lineno] if (match := _SECTION.match(line))]
            package = path.parent.relative_to(service).as_posix()
            try:
                yield _entry(node, constants, package, [heading, *above][-1])
            except (TypeError, ValueError) as error:
                raise ValueError(f"{path.name}, {node.name}: {error}") from None


def _entry(
    function: ast.FunctionDef, constants: dict[str, str], package: str, section: str
) -> Entry:
    (call,) = (
        statement.value
        for statement in ast.walk(function)
        if isinstance(statement, ast.Return) and isinstance(statement.value, ast.Call)
    )
    first = ERROR_CLASSES[_name(call.func)]
    code, problem, impact, solution = (_text(text, constants) for text in call.args[first:])
    docstring = " ".join((ast.get_docstring(function) or "").replace("``", "`").split())
    if not docstring:
        raise ValueError("it has no docstring with the cause and the solution")
    return Entry(
        code=code,
        problem=problem,
        impact=impact,
        solution=solution,
        cause_and_cure=docstring,
        package=package,
        section=section,
        status=_text(call.args[0], constants) if first else "",
    )


def _text(node: ast.expr, constants: dict[str, str]) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.Name):
        return constants.get(node.id, HOLE)
    if isinstance(node, ast.FormattedValue):
        return _text(node.value, constants)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, constants) for part in node.values)
    return HOLE


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            yield from ((_name(target), str(node.value.value)) for target in node.targets)


def _name(node: ast.expr | None) -> str:
    return node.id if isinstance(node, ast.Name) else ""
