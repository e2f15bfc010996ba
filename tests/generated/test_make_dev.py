"""Development while ``make dev`` runs, with real processes, files and signals."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from conftest import Bake
from serving import PASSWORD, free_port

from tools.process import clean_environment
from tools.services import ServiceEnvironment

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(os.name != "posix", reason="sends signals as a terminal does"),
]

SECONDS = 60
LONG = {
    "sqlite": "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 9000000000)"
    " SELECT count(*) FROM n",
    "postgresql": "SELECT pg_sleep(300)",
}
MIGRATION = '''"""Long."""

from alembic import op

revision = "900"
down_revision = "002"


def upgrade() -> None:
    op.execute("CREATE TABLE begun (id INTEGER)")
    open({marker!r}, "w").close()
    op.execute("{statement}")


def downgrade() -> None:
    op.execute("DROP TABLE begun")
'''


@dataclass
class Workspace:
    """A project in development, and the commands that are typed in it."""

    project: Path
    python: Path
    variables: dict[str, str]
    started: list[Running] = field(default_factory=list)

    @property
    def versions(self) -> Path:
        """The folder of migrations."""
        return self.project / "src" / "my_service" / "migrations" / "versions"

    def start(self, *words: str) -> Running:
        """Start a command at its own terminal: signals reach it and its child processes."""
        log = self.project.parent / f"{words[0]}.log"
        with log.open("w") as file:
            process = subprocess.Popen(
                [str(self.python), "-m", "my_service", *words],
                cwd=self.project,
                env=clean_environment(self.variables),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # In a shell without job control, background processes ignore Ctrl-C.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )
        self.started.append(Running(process, log))
        return self.started[-1]

    def type(self, line: str) -> str:
        """Run a command that must succeed; return its output."""
        running = self.start(*line.split())
        code = running.process.wait(SECONDS)
        assert code == 0, running.output()
        return running.output()


@dataclass
class Running:
    """A running command."""

    process: subprocess.Popen[bytes]
    log: Path

    def output(self) -> str:
        """Its output so far."""
        return self.log.read_text()

    def says(self, pattern: str, times: int = 1) -> None:
        """Wait until it has printed this so many times."""
        self.wait(lambda: len(re.findall(pattern, self.output())) >= times)

    def wait(self, is_so: Callable[[], Any]) -> None:
        """Wait for a condition, with a limit."""
        end = time.monotonic() + SECONDS
        while not is_so():
            assert time.monotonic() < end, self.output()
            time.sleep(0.05)

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send a signal as the terminal does, to all of them; return the exit code."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)
        return self.process.wait(SECONDS)


@pytest.fixture
def workspace(
    project: Bake, service_environment: ServiceEnvironment
) -> Iterator[Callable[..., Workspace]]:
    workspaces = []

    def make(database: str = "sqlite", **variables: str) -> Workspace:
        folder = project(database=database)
        every = {**service_environment.variables(folder), "BCRYPT_COST": "4", **variables}
        workspaces.append(Workspace(folder, service_environment.python, every))
        return workspaces[-1]

    yield make
    for workspace in workspaces:
        for running in workspace.started:
            running.stop(signal.SIGKILL)


@pytest.fixture
def address() -> str:
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture
def dev(workspace: Callable[..., Workspace], address: str) -> Iterator[tuple[Workspace, Running]]:
    """A workspace where ``make dev`` runs."""
    here = workspace(CLIENT_TIMEOUT="5")
    running = here.start("serve", "--reload", "--port", address.rpartition(":")[2])
    running.says("Ready to serve")
    yield here, running
    assert running.stop() == 0, running.output()


def becomes_ready(address: str) -> None:
    """Wait for it: readiness caches its answer for a second."""
    end = time.monotonic() + SECONDS
    while requests.get(f"{address}/health/ready", timeout=SECONDS).status_code != 200:
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_migration_is_written_previewed_and_applied_while_make_dev_runs(
    dev: tuple[Workspace, Running], address: str
) -> None:
    workspace, running = dev
    models = workspace.project / "src" / "my_service" / "accounts" / "models.py"
    text = models.read_text().replace(
        "    name: Mapped[str]", "    nick: Mapped[str | None]\n    name: Mapped[str]", 1
    )
    models.write_text(text)
    running.says("Ready to serve", times=2)
    workspace.type("migrate make add_nick")
    running.says("add_nick is pending")
    (migration,) = workspace.versions.glob("*_add_nick.py")
    migration.write_text(migration.read_text() + "\n\nunfinished =\n")
    running.says("add_nick.py does not import")
    migration.write_text(migration.read_text().replace("\n\nunfinished =\n", ""))
    assert "nick" in workspace.type("migrate latest --sql")
    assert "1 pending" in workspace.type("migrate status")
    assert requests.get(f"{address}/health/ready", timeout=SECONDS).status_code == 503
    assert "Batch 2 run" in workspace.type("migrate latest")
    becomes_ready(address)
    # Once more: it was applied, and is edited now.
    migration.write_text(migration.read_text().replace("def upgrade", "x = 1\n\n\ndef upgrade"))
    running.says("add_nick changed after it was applied.*migrate down, then migrate latest")
    workspace.type("migrate down")
    assert "Batch 2 run" in workspace.type("migrate latest")
    becomes_ready(address)
    assert running.output().count("Ready to serve") == 2


def test_with_reload_a_client_with_half_a_request_is_disconnected_too(
    dev: tuple[Workspace, Running], address: str
) -> None:
    host, _, port = address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as client:
        client.settimeout(SECONDS)
        client.sendall(b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        with suppress(ConnectionResetError):
            assert client.recv(1) == b""


def test_after_a_failed_start_make_dev_waits_for_a_corrected_migration(
    workspace: Callable[..., Workspace], address: str
) -> None:
    here = workspace()
    broken = here.versions / "900_broken.py"
    broken.write_text(MIGRATION.format(statement="SELECT nothing", marker=os.devnull))
    running = here.start("serve", "--reload", "--port", address.rpartition(":")[2])
    running.says("900_broken failed")
    broken.write_text(MIGRATION.format(statement="SELECT 1", marker=os.devnull))
    running.says("900_broken is pending")
    running.says("Ready to serve")
    here.type("migrate latest")
    becomes_ready(address)
    assert running.stop() == 0, running.output()


def test_a_reload_keeps_users_signed_in_and_mailed_links_work(
    dev: tuple[Workspace, Running], address: str
) -> None:
    workspace, running = dev
    ada = {"email": "ada@example.com", "password": PASSWORD, "name": "Ada"}
    requests.post(f"{address}/auth/register", json=ada, timeout=SECONDS)
    running.says("verify-email#token=")
    page = requests.get(address, timeout=SECONDS).text
    (link,) = re.findall(r'To ada@example.com: <a href="([^"]+)"', page)
    assert link.startswith(f"{address}/verify-email#")
    assert requests.get(link, timeout=SECONDS).status_code == 200
    token = parse_qs(urlsplit(link).fragment)["token"][0]
    body = {"token": token, "password": PASSWORD}
    requests.post(f"{address}/auth/verify-email", json=body, timeout=SECONDS)
    signed_in = requests.post(f"{address}/auth/login", json=ada, timeout=SECONDS).json()
    headers = {"Authorization": f"Bearer {signed_in['access_token']}"}
    assert requests.get(f"{address}/users/me", headers=headers, timeout=SECONDS).ok
    (workspace.project / "src" / "my_service" / "accounts" / "models.py").touch()
    running.says("Ready to serve", times=2)
    assert requests.get(f"{address}/users/me", headers=headers, timeout=SECONDS).ok


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("migrate latest", signal.SIGINT),
        ("serve", signal.SIGTERM),
        ("serve --reload", signal.SIGINT),
    ],
)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_signal_stops_a_long_migration_and_rolls_it_back(
    workspace: Callable[..., Workspace],
    empty_database: Any,
    address: str,
    database: str,
    line: str,
    number: int,
) -> None:
    here = workspace(
        database, DATABASE_URL=empty_database(database), PORT=address.rpartition(":")[2]
    )
    marker = here.project.parent / "marker"
    text = MIGRATION.format(statement=LONG[database], marker=str(marker))
    (here.versions / "900_long.py").write_text(text)
    running = here.start(*line.split())
    running.wait(marker.exists)
    time.sleep(0.5)
    code = running.stop(number)
    assert code != 0 or "--reload" in line, running.output()
    assert "Traceback" not in running.output()
    assert "The run was interrupted." in running.output()
    assert "900_long failed" not in running.output()
    (here.versions / "900_long.py").unlink()
    status = here.type("migrate list")
    assert "001_create_users_table" in status and "completed" not in status


def test_psql_opens_on_the_embedded_database(
    project: Bake, service_environment: ServiceEnvironment
) -> None:
    folder = project(database="postgresql")
    command = ("-m", "my_service.database.embedded", "-c", "SELECT 6 * 7 AS answer")
    assert "42" in service_environment.succeed(folder, *command)
