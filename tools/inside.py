"""Run tests inside a prepared copy of a service, for a quick loop during changes.

    make test-service database=sqlite only=test_accounts
    make test-engine database=postgresql only=batches
    uv run pytest tests/inside/engine/test_batches.py -k rollback

The first two run a service's own tests, and the tests of its engine (or of its tenants, if it has
any). ``only`` is the name of a file, with or without ``test_`` and ``.py``, or an expression for
pytest's ``-k``. pytest passes the third on: see ``tests/conftest.py``.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tools.process import clean_environment
from tools.services import (
    DATABASES,
    INSIDE,
    ServiceEnvironment,
    environment,
    inside_command,
    inside_folder,
    inside_variables,
    postgresql,
    sqlalchemy_address,
    warm_copy,
)

NO_TESTS = int(pytest.ExitCode.NO_TESTS_COLLECTED)
MISUSE = 2


def main(target: str, database: str, only: str) -> int:
    """Run one service's tests; return the exit code."""
    if database not in DATABASES:
        return _refuse(
            f'There is no database "{database}".',
            f"make {target} database=… with one of: {', '.join(DATABASES)}",
        )
    inside = target == "test-engine"
    python = environment()
    with warm_copy(database) as project:
        folder = inside_folder(database) if inside else project / "tests"
        code = _run_in(project, database, python, *chosen(folder, only), inside=inside)
    if code == NO_TESTS:
        names = ", ".join(sorted(path.stem for path in folder.glob("test_*.py")))
        return _refuse(
            f'No test matches "{only}".', f"Use part of a test's name, or a file: {names}"
        )
    return code


def run_files(options: Sequence[str], paths: Sequence[str]) -> int:
    """Run files, folders or tests of ``tests/inside`` in every service that they apply to.

    Returns the worst exit code.
    """
    codes, python = [], environment()
    for database in DATABASES:
        if fitting := list(_fitting(inside_folder(database), paths)):
            print(f"== {database}", flush=True)
            with warm_copy(database) as project:
                codes.append(_run_in(project, database, python, *options, *fitting, inside=True))
    return max(codes)


def is_inside(path: str) -> bool:
    """Whether an argument of pytest must run inside a service."""
    return any(list(_fitting(inside_folder(database), [path])) for database in DATABASES)


def _fitting(folder: Path, paths: Sequence[str]) -> Iterator[str]:
    for path in paths:
        file, colons, test = path.partition("::")
        place = Path(file).absolute()
        if place.is_relative_to(folder):
            yield f"{place}{colons}{test}"
        elif place == INSIDE:
            yield str(folder)


def chosen(folder: Path, only: str) -> list[str]:
    """Arguments for pytest: the file of that name, otherwise the tests that match the keyword."""
    for name in (f"test_{only}.py", f"{only}.py", only):
        if only and (folder / name).is_file():
            return [str(folder / name)]
    return [str(folder), "-k", only] if only else [str(folder)]


def _run_in(
    project: Path, database: str, python: ServiceEnvironment, *arguments: str, inside: bool
) -> int:
    with _server(database) as server:
        variables = python.variables(project)
        if inside:
            command = inside_command(*arguments)
            variables |= inside_variables(project, database, server)
        else:
            command = ("-m", "pytest", "-q", *arguments)
            variables |= {"TEST_DATABASE_URL": sqlalchemy_address(server)} if server else {}
        return _in_the_foreground([str(python.python), *command], project, variables)


@contextmanager
def _server(database: str) -> Iterator[str]:
    """The address of the server in ``.cache``; empty for SQLite, which needs none."""
    if database == "sqlite":
        yield ""
    else:
        with postgresql() as address:
            yield address


def _in_the_foreground(command: list[str], cwd: Path, variables: Mapping[str, str]) -> int:
    """Run a command on this terminal. It gets Ctrl-C and handles it."""
    every = clean_environment(variables)
    del every["PYTHONDONTWRITEBYTECODE"]  # the copy stays, so the next run starts faster
    process = subprocess.Popen(command, cwd=cwd, env=every)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


def _refuse(problem: str, solution: str) -> int:
    print(
        f"Problem:  {problem}\nImpact:   No test ran.\nSolution: {solution}",
        file=sys.stderr,
    )
    return MISUSE


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
