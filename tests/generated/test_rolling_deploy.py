"""An old and a new release at the same time: a column is renamed while both write."""

from __future__ import annotations

import re
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
from serving import ENDS, VARIABLES, Service, free_port, process_of, serving

from tools.process import clean_environment
from tools.services import DATABASES, ServiceEnvironment

pytestmark = pytest.mark.thorough

COLUMN = "name: Mapped[str] = mapped_column(String(255))"
RENAMED = 'name: Mapped[str] = mapped_column("full_name", String(255))'
HEAD = """
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{after}"

{body}
"""


@dataclass
class Writer:
    """Repeatedly writes a name through one replica and reads it through the next."""

    token: str
    headers: dict[str, str]
    replicas: list[Service] = field(default_factory=list)
    turn: threading.Lock = field(default_factory=threading.Lock)
    written: int = 0
    faults: list[str] = field(default_factory=list)
    name: str = "Ada"

    def run(self, ended: threading.Event) -> None:
        """Write until it is told to stop."""
        headers = {**self.headers, "Authorization": f"Bearer {self.token}"}
        for number in count():
            if ended.is_set():
                return
            with self.turn:
                chosen = self.replicas[number % len(self.replicas)]
                other = self.replicas[(number + 1) % len(self.replicas)]
                self.name = f"Ada {number}"
                written = requests.patch(
                    f"{chosen.address}/users/me",
                    json={"name": self.name},
                    headers=headers,
                    timeout=20,
                )
                read = requests.get(f"{other.address}/users/me", headers=headers, timeout=20)
                if written.status_code != 200 or read.json().get("name") != self.name:
                    self.faults.append(f"{written.status_code} {written.text} {read.text}")
                self.written += 1

    def add(self, replica: Service) -> None:
        """Send requests to it."""
        with self.turn:
            self.replicas.append(replica)

    def leave(self, replica: Service) -> None:
        """Send no more requests to it."""
        with self.turn:
            self.replicas.remove(replica)


@dataclass
class Deploy:
    """Two releases of one service and its database."""

    database: str
    address: str
    old: dict[str, str]
    new: dict[str, str]
    python: Path
    folder: Path
    started: int = 0

    @contextmanager
    def replica(self, release: str, **variables: str) -> Iterator[Service]:
        """A process of a release."""
        self.started += 1
        folder = self.folder / f"replica{self.started}"
        folder.mkdir()
        every = {"JWT_SECRET": "vX9-2mQp7Lr_4TzKd8WbYs6NcHfJg3Ra", **getattr(self, release)}
        every |= variables
        ends = (*ENDS, -signal.SIGKILL)
        with serving(self.python, every, folder, self.address, ends) as service:
            yield service

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement."""
        if self.database == "sqlite":
            with sqlite3.connect(self.address.removeprefix("sqlite:///"), timeout=20) as file:
                return file.execute(statement).fetchall()
        plain = self.address.replace("+psycopg", "")
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(f"SET search_path TO {self.schema}, public")
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    @property
    def schema(self) -> str:
        """The name of the table of users."""
        return "tenant_acme" if self.database == "postgresql-multi-tenant" else "public"

    def age(self, instance: str) -> None:
        """Make an instance's last beat old, as if its process had been stopped."""
        moment = "'2020-01-01 00:00:00'"
        self.ask(f"UPDATE service_instances SET beat_at = {moment} WHERE id = '{instance}'")

    def instances(self) -> set[str]:
        """The registered instances."""
        return {row[0] for row in self.ask("SELECT id FROM service_instances")}

    def has_contracted(self) -> bool:
        """Whether the old column is gone."""
        try:
            self.ask("SELECT name FROM users LIMIT 1")
        except (sqlite3.OperationalError, psycopg.errors.UndefinedColumn):
            return True
        return False


@pytest.fixture(params=DATABASES)
def deploy(
    request: pytest.FixtureRequest,
    bake: Any,
    empty_database: Any,
    service_environment: ServiceEnvironment,
    tmp_path: Path,
) -> Deploy:
    """The baked service, and a release after it that renames a column in three migrations."""
    old = bake(database=request.param)
    new = Path(shutil.copytree(old, tmp_path / "new"))
    package = new / "src" / "my_service"
    models = package / "accounts" / "models.py"
    text = models.read_text()
    assert COLUMN in text
    models.write_text(text.replace(COLUMN, RENAMED))
    versions = package / "migrations" / "versions"
    after = max(file.name.partition("_")[0] for file in versions.glob("[0-9]*.py"))
    for number, body in enumerate(files_of_the_guide(package)):
        revision = f"90{number}"
        text = HEAD.format(revision=revision, after=after, body=body)
        (versions / f"{revision}_rename.py").write_text(text)
        after = revision
    return Deploy(
        request.param,
        empty_database(request.param),
        service_environment.variables(old),
        service_environment.variables(new),
        service_environment.python,
        tmp_path,
    )


def files_of_the_guide(package: Path) -> list[str]:
    """The three files below "Renaming a column"."""
    guide = (package / "migrations" / "README.md").read_text(encoding="utf-8")
    section = guide.partition("### Renaming a column\n")[2].partition("\n### ")[0]
    files = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(files) == 3
    return files


def test_no_request_fails_and_the_contract_waits_for_the_last_old_replica(deploy: Deploy) -> None:
    ended = threading.Event()
    with ExitStack() as stack:
        first = stack.enter_context(deploy.replica("old"))
        account = first.with_tenant("acme") if deploy.schema == "tenant_acme" else first
        writer = Writer(account.sign_in("ada@example.com"), account.headers, [first])
        thread = threading.Thread(target=writer.run, args=(ended,))
        thread.start()
        try:
            roll_out(deploy, stack, writer, first)
        finally:
            ended.set()
            thread.join(60)
        assert writer.faults == []
        assert writer.written > 20
        assert deploy.ask("SELECT full_name FROM users") == [(writer.name,)]


def roll_out(deploy: Deploy, stack: ExitStack, writer: Writer, first: Service) -> None:
    """Start new replicas; kill, restart and freeze old ones; end them."""
    (row_of_first,) = deploy.instances()
    frozen = stack.enter_context(deploy.replica("old"))
    (row_of_frozen,) = deploy.instances() - {row_of_first}
    writer.add(frozen)
    quick = {"AUTO_CONTRACT": "true", "AUTO_CONTRACT_INTERVAL": "0.3"}
    new = stack.enter_context(deploy.replica("new", **quick))
    writer.add(new)
    wait_for_writes(writer)
    assert not deploy.has_contracted()

    # Killed: it cannot remove its row, so it counts for a while.
    writer.leave(first)
    process_of(first).kill()
    # An old replica starts on the newer schema.
    with deploy.replica("old") as again:
        assert "is ahead of this release by 2 migrations" in again.log.read_text()
        writer.add(again)
        wait_for_writes(writer)
        writer.leave(frozen)
        process_of(frozen).send_signal(signal.SIGSTOP)
        deploy.age(row_of_first)
        deploy.age(row_of_frozen)
        wait_for_writes(writer)
        time.sleep(1)
        assert not deploy.has_contracted()
        writer.leave(again)
    wait_until(deploy.has_contracted)
    wait_for_writes(writer)

    process_of(frozen).send_signal(signal.SIGCONT)
    wait_until(
        lambda: requests.get(f"{frozen.address}/health/ready", timeout=20).status_code == 503
    )
    refused = subprocess.run(
        [str(deploy.python), "-m", "my_service", "serve", "--port", str(free_port())],
        env=clean_environment({**VARIABLES, **deploy.old, "DATABASE_URL": deploy.address}),
        cwd=deploy.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode != 0
    message = "This release does not have 1 applied contract: 902_rename"
    assert message in refused.stdout + refused.stderr


def wait_for_writes(writer: Writer) -> None:
    """Wait until more has been written."""
    before = writer.written
    wait_until(lambda: writer.written > before + 5)


def wait_until(holds: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for an effect of another process."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)
