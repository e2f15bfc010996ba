"""A service's wheel is all that production needs."""

from __future__ import annotations

import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import Bake
from support import DATABASES, clean_environment, succeed


@pytest.mark.parametrize("database", DATABASES)
def test_a_wheel_installed_elsewhere_serves_in_production(
    project: Bake, empty_database: Any, uv: str, tmp_path: Path, database: str
) -> None:
    succeed(
        *(uv, "build", "--quiet", "--wheel", "--out-dir", tmp_path / "dist"),
        cwd=project(database=database),
    )
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = tmp_path / "environment"
    succeed(uv, "venv", "--quiet", "--python", sys.executable, environment, cwd=elsewhere)
    succeed(uv, "pip", "install", "--quiet", "--python", environment, wheel, cwd=elsewhere)

    port = free_port()
    production = {
        "ENVIRONMENT": "production",
        "DATABASE_URL": empty_database(database),
        "DB_SSL_MODE": "disable",
        "JWT_SECRET": secrets.token_urlsafe(48),
        "FRONTEND_URL": "https://app.example.com",
        "MAIL_FROM": "my-service@example.com",
        "SMTP_HOST": "mail.example.com",
    }
    command = [str(environment / "bin" / "my-service"), "serve", "--port", str(port)]
    with running(command, elsewhere, production) as said:
        assert ask(f"http://127.0.0.1:{port}/health/ready", said) == 200


@contextmanager
def running(command: list[str], folder: Path, variables: dict[str, str]) -> Iterator[Path]:
    """Run a service, hand over the file with what it says, and stop it as an operator does."""
    said = folder / "service.log"
    with said.open("w") as log:
        service = subprocess.Popen(
            command,
            cwd=folder,
            env=clean_environment(variables),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield said
    finally:
        service.send_signal(signal.SIGTERM)
        code = service.wait(20)
    assert code in (0, -signal.SIGTERM), said.read_text()


def ask(address: str, said: Path, seconds: float = 20) -> int:
    """Ask until the service answers; return the status."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(address, timeout=5) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            pytest.fail(f"{error.code} {error.read().decode()}\n{said.read_text()}")
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"The service does not answer.\n{said.read_text()}")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
