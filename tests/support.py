"""What the tests share: where things are, how a hook is loaded, and how a command is run."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

import jinja2

TEMPLATE = Path(__file__).resolve().parent.parent
SERVICE = TEMPLATE / "{{cookiecutter.project_slug}}"

DATABASES = ("sqlite", "postgresql", "postgresql-multi-tenant")
LICENSES = ("MIT", "Apache-2.0", "BSD-3-Clause", "Proprietary")

DEFAULTS = {
    "project_name": "My Service",
    "project_slug": "my-service",
    "package_name": "my_service",
    "description": "My Service, a FastAPI service that migrates its own database",
    "author_name": "Your Name",
    "author_email": "you@example.com",
    "database": "sqlite",
    "license": "MIT",
}

# Variables that would reach into a service, or into a tool that works on one, from outside.
FOREIGN = (
    "ACCESS_TOKEN_",
    "ADMIN_KEY",
    "ALLOWED_HOSTS",
    "AUTO_MIGRATE",
    "BCRYPT_",
    "CORS_",
    "DATABASE_URL",
    "DB_",
    "DOCS_",
    "ENVIRONMENT",
    "FRONTEND_URL",
    "JWT_",
    "LOG_",
    "MAIL_FROM",
    "MAKEFLAGS",
    "MAKELEVEL",
    "MAX_BODY_",
    "MFLAGS",
    "MIGRATION_",
    "PASSWORD_RESET_",
    "PYTEST_",
    "PYTHONPATH",
    "RATE_LIMIT_",
    "SMTP_",
    "TEST_DATABASE_URL",
    "TRUSTED_PROXIES",
    "UV_PROJECT_ENVIRONMENT",
    "VERIFICATION_",
    "VIRTUAL_ENV",
)


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


def render_hook(name: str, context: Mapping[str, object]) -> str:
    """A hook's source as cookiecutter runs it."""
    source = (TEMPLATE / "hooks" / f"{name}.py").read_text(encoding="utf-8")
    return jinja2.Environment().from_string(source).render(cookiecutter=context)


def escaped(text: str) -> str:
    """Text as the hidden copies of the answers hold it, ready for double quotes."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def with_copies(answers: Mapping[str, str]) -> dict[str, object]:
    """The answers as a hook reads them: with the hidden copies that cookiecutter computes."""
    texts = ("project_name", "description", "author_name", "author_email")
    copies = {f"__{name}": escaped(answers[name]) for name in texts}
    of_database = load_hook("pre_gen_project").DATABASE_COPIES.get(answers["database"], {})
    return {**answers, **copies, **of_database}


def clean_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Copy the environment without what would reach into a service, and add ``variables``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", **variables}


def run(
    *command: str | Path,
    cwd: Path,
    variables: Mapping[str, str] | None = None,
    timeout: float = 100,
) -> subprocess.CompletedProcess[str]:
    """Run a command in a clean environment and capture what it says."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=clean_environment(variables or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def succeed(
    *command: str | Path,
    cwd: Path,
    variables: Mapping[str, str] | None = None,
    timeout: float = 100,
) -> str:
    """Run a command that must succeed; return all that it says."""
    done = run(*command, cwd=cwd, variables=variables, timeout=timeout)
    said = done.stdout + done.stderr
    assert done.returncode == 0, f"{' '.join(map(str, command))} exited {done.returncode}\n{said}"
    return said


def files(folder: Path) -> Iterator[Path]:
    """Every file below a folder, in order, as a path relative to it."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder)
