"""Shared fixtures: bake once, install once, start one PostgreSQL for all workers."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import psycopg
import pytest
from filelock import FileLock
from serving import CountedService, Serve, ServeCounted, Service, serving, serving_counted

from tools import inside, newest_python, services
from tools.process import run
from tools.services import DATABASES, LICENSES, ServiceEnvironment, find_uv

collect_ignore = ["inside"]


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Pass on tests that must run inside a service, since its packages are not installed here."""
    handed_over = [path for path in config.args if inside.is_inside(path)]
    if hasattr(config, "workerinput") or not handed_over:
        return None
    if len(handed_over) < len(config.args):
        raise pytest.UsageError(
            "tests/inside runs inside a service: start it by a command of its own"
        )
    options = [word for word in config.invocation_params.args if word not in handed_over]
    return inside.run_files(options, handed_over)


# The slowest tests start first, so that the workers finish at the same time.
LONGEST = (
    "test_inside.py",
    "test_own_checks.py",
    "test_accounts_schemathesis.py",
    "generated/test_docs.py",
    "test_wheel.py",
    "test_cruft.py",
)


@pytest.hookimpl(trylast=True)  # after those that -m leaves out are gone
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the slowest tests first in what each worker begins with: its share, from one place on."""

    def place(item: pytest.Item) -> int:
        path = item.path.as_posix()
        return next((at for at, name in enumerate(LONGEST) if path.endswith(name)), len(LONGEST))

    items.sort(key=place)
    workers: int = getattr(config, "workerinput", {}).get("workercount", 1)
    items[:] = [item for worker in range(workers) for item in items[worker::workers]]


def pytest_configure(config: pytest.Config) -> None:
    """Work in a folder that no other run of pytest touches.

    PostgreSQL refuses to run as root, so its wheel runs it as another user, who must reach its
    files. In pytest's default folder the next run (for example a service's own tests) would deny
    access.
    """
    if not hasattr(config, "workerinput") and not config.option.basetemp:
        config.option.basetemp = tempfile.mkdtemp(prefix="saasquatch-tests-")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Keep that folder only after a failure."""
    if not hasattr(session.config, "workerinput") and exitstatus == 0:
        shutil.rmtree(session.config.option.basetemp, ignore_errors=True)


class Bake(Protocol):
    """Bake the template with these answers, each taken literally; the rest are defaults."""

    def __call__(self, **answers: str) -> Path: ...  # noqa: D102


@pytest.fixture(scope="session")
def worker() -> str:
    """Name this xdist worker; "main" when there are none."""
    return os.environ.get("PYTEST_XDIST_WORKER", "main")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker: str) -> Path:
    """A folder for all workers of this run only."""
    base = tmp_path_factory.getbasetemp()
    return base if worker == "main" else base.parent


@pytest.fixture(scope="session")
def uv() -> str:
    """The uv that runs these tests."""
    return find_uv()


@pytest.fixture(scope="session")
def fresh_bake(tmp_path_factory: pytest.TempPathFactory) -> Bake:
    """Bake again on every call."""

    def fresh(**answers: str) -> Path:
        return services.bake(tmp_path_factory.mktemp("fresh"), **answers)

    return fresh


@pytest.fixture(scope="session")
def bake(shared: Path) -> Bake:
    """Bake once for each set of answers in the whole run. Do not change the result."""

    def once(**answers: str) -> Path:
        every = {"database": DATABASES[0], "license": LICENSES[0], **answers}
        key = hashlib.sha256(json.dumps(every, sort_keys=True).encode()).hexdigest()[:16]
        folder = shared / "baked" / key
        with FileLock(shared / f"{key}.lock"):
            if not folder.exists():
                services.bake(folder, **every)
        (project,) = folder.iterdir()
        return project

    return once


@pytest.fixture
def project(bake: Bake, tmp_path: Path) -> Bake:
    """A separate baked project, to run commands in."""

    def copy(**answers: str) -> Path:
        baked = bake(**answers)
        return Path(shutil.copytree(baked, tmp_path / "project" / baked.name))

    return copy


@pytest.fixture(scope="session")
def service_environment() -> ServiceEnvironment:
    """The environment of every generated service, kept between runs."""
    return services.environment()


@pytest.fixture(scope="session")
def newest_environment() -> ServiceEnvironment:
    """The same with the newest Python, if this machine has it: see ``make newest-python``.

    Tests that need no particular Python use it, so that services are tested with the oldest and the
    newest one without running any test twice.
    """
    return services.environment(newest_python.find())


@pytest.fixture(scope="session")
def postgres_server(shared: Path) -> Iterator[str]:
    """The address of a real PostgreSQL server. It stops with the last worker that uses it."""
    with services.postgresql(shared / "postgres") as address:
        yield address


@pytest.fixture
def postgres(postgres_server: str) -> Iterator[str]:
    """The address of a separate empty database."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield services.sqlalchemy_address(postgres_server.replace("/postgres?", f"/{name}?"))
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """The address of an empty database for an answer."""

    def address(database: str) -> str:
        if database == "sqlite":
            return f"sqlite:///{tmp_path / 'test.db'}"
        return str(request.getfixturevalue("postgres"))

    return address


@pytest.fixture
def serve(bake: Bake, service_environment: ServiceEnvironment, tmp_path: Path) -> Serve:
    """Run the service of an answer, on the database at an address."""

    def start(database: str, address: str, **variables: str) -> AbstractContextManager[Service]:
        every = {**service_environment.variables(bake(database=database)), **variables}
        return serving(service_environment.python, every, tmp_path, address)

    return start


@pytest.fixture
def serve_counted(
    bake: Bake, service_environment: ServiceEnvironment, tmp_path: Path
) -> ServeCounted:
    """The same, and the service counts its own work."""

    def start(
        database: str, address: str, **variables: str
    ) -> AbstractContextManager[CountedService]:
        every = {**service_environment.variables(bake(database=database)), **variables}
        return serving_counted(service_environment.python, every, tmp_path, address)

    return start


@pytest.fixture
def git(tmp_path: Path) -> Any:
    """Git with a user name, independent of this machine's settings."""
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
