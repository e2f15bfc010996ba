"""Production needs only a service's wheel."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Bake
from serving import ask, free_port, running

from tools.process import succeed
from tools.services import DATABASES

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def environment_folder(tmp_path_factory: pytest.TempPathFactory, uv: str) -> Path:
    """A folder with an empty environment for one wheel after the other.

    Compiled files of the packages stay, so only the first start is slow.
    """
    folder = tmp_path_factory.mktemp("wheel")
    succeed(uv, "venv", "--quiet", "--python", sys.executable, "environment", cwd=folder)
    return folder


@pytest.mark.parametrize("database", DATABASES)
def test_a_wheel_installed_elsewhere_serves_in_production(
    project: Bake,
    empty_database: Any,
    uv: str,
    tmp_path: Path,
    environment_folder: Path,
    database: str,
) -> None:
    succeed(
        *(uv, "build", "--quiet", "--wheel", "--out-dir", tmp_path / "dist"),
        cwd=project(database=database),
    )
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    # --exact: what the last wheel needed and this one does not name is removed.
    install = (uv, "pip", "install", "--quiet", "--exact", "--reinstall-package", "my-service")
    succeed(*install, "--python", "environment", wheel, cwd=environment_folder)

    port = free_port()
    production = {
        "ADMIN_KEY": secrets.token_urlsafe(48),
        "ENVIRONMENT": "production",
        "DATABASE_URL": empty_database(database),
        "DB_SSL_MODE": "disable",
        "JWT_SECRET": secrets.token_urlsafe(48),
        "FRONTEND_URL": "https://app.example.com",
        "MAIL_FROM": "my-service@example.com",
        "SMTP_HOST": "mail.example.com",
        "PYTHONDONTWRITEBYTECODE": "",
    }
    command = [
        str(environment_folder / "environment" / "bin" / "my-service"),
        "serve",
        "--port",
        str(port),
    ]
    with running(command, tmp_path, production) as log:
        assert ask(f"http://127.0.0.1:{port}/health/ready", log) == 200
