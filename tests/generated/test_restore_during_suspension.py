"""A suspended replica that already counts as gone resumes while a backup is restored."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
from serving import VARIABLES, Serve, Service, process_of, wait_until

from tools.process import clean_environment
from tools.services import ServiceEnvironment

pytestmark = pytest.mark.thorough

CLIENT = """
from my_service.migrate.backends.postgresql.client import _found
print(max(_found(), key=lambda client: client.major).path)
"""
# Reports that it was called, and waits until it may continue.
WAITING = """#!/bin/sh
touch {folder}/began
while [ -e {folder}/began ] && [ ! -e {folder}/go ]; do sleep 0.05; done
exec {program} "$@"
"""


class Restoring:
    """A service's command line, and a replica's rows, read from outside."""

    def __init__(self, python: Path, variables: dict[str, str], address: str, folder: Path) -> None:
        self.python = python
        self.address = address
        self.folder = folder
        self.variables = {**VARIABLES, **variables, "DATABASE_URL": address}
        self.variables["BACKUP_DIRECTORY"] = str(folder / "backups")
        if not address.startswith("sqlite"):
            self._let_pg_restore_wait()

    def _let_pg_restore_wait(self) -> None:
        found = self.run(str(self.python), "-c", CLIENT)
        real = Path(found.communicate()[0].strip())
        dump, restore = self.folder / "pg_dump", self.folder / "pg_restore"
        dump.write_text(f'#!/bin/sh\nexec {real} "$@"\n')
        restore.write_text(WAITING.format(folder=self.folder, program=real.with_name("pg_restore")))
        for program in (dump, restore):
            program.chmod(0o755)
        self.variables["BACKUP_PG_DUMP"] = str(dump)

    def run(self, *command: str) -> subprocess.Popen[str]:
        """Start a program with the service's environment."""
        every, pipe = clean_environment(self.variables), subprocess.PIPE
        return subprocess.Popen(
            command, env=every, cwd=self.folder, stdout=pipe, stderr=pipe, text=True
        )

    def command(self, *words: str) -> subprocess.Popen[str]:
        """Start the service's command line."""
        return self.run(str(self.python), "-m", "my_service", *words)

    def has_begun(self) -> bool:
        """Whether a restore waits in the middle."""
        return (self.folder / "began").exists()

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement."""
        if self.address.startswith("sqlite"):
            with sqlite3.connect(self.address.removeprefix("sqlite:///"), timeout=20) as file:
                return file.execute(statement).fetchall()
        with psycopg.connect(self.address.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute("SET search_path TO tenant_acme, public")
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


def rename(account: Service, token: str, name: str) -> int:
    """Write a name; return the status."""
    headers = {**account.headers, "Authorization": f"Bearer {token}"}
    address = f"{account.address}/users/me"
    answer = requests.patch(address, json={"name": name}, headers=headers, timeout=60)
    return answer.status_code


@pytest.mark.parametrize(
    ("database", "tenant"),
    [("sqlite", None), ("postgresql", None), ("postgresql-multi-tenant", "acme")],
)
def test_a_write_accepted_by_a_resumed_replica_survives_the_restore(
    database: str,
    tenant: str | None,
    serve: Serve,
    bake: Any,
    empty_database: Any,
    service_environment: ServiceEnvironment,
    tmp_path: Path,
) -> None:
    address = empty_database(database)
    project = bake(database=database)
    variables = service_environment.variables(project)
    restoring = Restoring(service_environment.python, variables, address, tmp_path)
    with serve(database, address) as service, ThreadPoolExecutor(1) as executor:
        account = service
        if database == "postgresql-multi-tenant":
            account = service.with_tenant("acme")
        token = account.sign_in("ada@example.com")
        out, _ = restoring.command("backup", "create", "--json").communicate()
        name = json.loads(out)["name"]
        process = process_of(service)
        process.send_signal(signal.SIGSTOP)
        try:
            restoring.ask("UPDATE service_instances SET beat_at = '2020-01-01 00:00:00'")
            words = ["--tenant", tenant] if tenant else []
            restore = restoring.command("backup", "restore", name, *words, "--yes")
            if database == "sqlite":
                restore.wait(60)
            else:
                wait_until(restoring.has_begun, service.log)
        finally:
            process.send_signal(signal.SIGCONT)
        answered = executor.submit(rename, account, token, "Written meanwhile")
        if tenant is None:
            assert answered.result(90) in (200, 503)
        (tmp_path / "go").touch()
        _, err = restore.communicate(timeout=60)
        # If it wakes up late, it counts as gone by its own clock as well, and refuses.
        names = {200: "Written meanwhile", 503: "Ada"}
        assert restoring.ask("SELECT name FROM users") == [(names[answered.result(90)],)], err
        assert restore.returncode == (0 if tenant else 1), err
        assert tenant or "run it again" in err
        wait_until(lambda: rename(account, token, "Written afterwards") == 200, service.log)
        assert restoring.ask("SELECT name FROM users") == [("Written afterwards",)]
