"""A service's wheel is all that production needs."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Bake
from serving import ask, free_port, running
from support import DATABASES, succeed


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
        "ADMIN_KEY": secrets.token_urlsafe(48),
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
