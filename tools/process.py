"""Run a command without outside influences, and without leaving processes behind."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

TIMEOUT_SECONDS = 900.0
GRACE_SECONDS = 10.0
KILLED_SECONDS = 60.0

# Variables that would change the behaviour of a service, or of a tool that works on one.
FOREIGN = (
    "ACCESS_TOKEN_",
    "ADMIN_KEY",
    "ALLOWED_HOSTS",
    "AUTO_",
    "BACKUP_",
    "BCRYPT_",
    "CLIENT_TIMEOUT",
    "CORS_",
    "DATABASE_URL",
    "DB_",
    "DOCS_",
    "ENVIRONMENT",
    "FRONTEND_URL",
    "JWT_",
    "LINT_",
    "LISTEN_HOST",
    "LOG_",
    "MAIL_FROM",
    "MAKEFLAGS",
    "MAKELEVEL",
    "MAX_",
    "METRICS_",
    "MFLAGS",
    "MIGRATION_",
    "OTEL_",
    "PASSWORD_RESET_",
    "PORT",
    "PYTEST_",
    "PYTHONPATH",
    "RATE_LIMIT_",
    "SHUTDOWN_",
    "SMTP_",
    "TENANT_",
    "TENANTS_",
    "TEST_DATABASE_URL",
    "TRUSTED_PROXIES",
    "UV_PROJECT_ENVIRONMENT",
    "VERIFICATION_",
    "VIRTUAL_ENV",
    "WRONG_PASSWORDS_",
)


class TimedOut(AssertionError):
    """A command took too long and was ended; the text contains its output so far."""


def clean_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Copy the environment without such variables, and add ``variables``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", **variables}


def run(
    *command: str | Path,
    cwd: Path,
    variables: Mapping[str, str] | None = None,
    timeout: float = TIMEOUT_SECONDS,
) -> subprocess.CompletedProcess[str]:
    """Run a command in a clean environment and capture its output.

    The command has its own process group. The group is ended after ``timeout`` seconds, and
    when this process is interrupted.

    Raises:
        TimedOut: it took too long.

    """
    words = [str(word) for word in command]
    process = subprocess.Popen(
        words,
        cwd=cwd,
        env=clean_environment(variables or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        output = "".join(end_group(process))
        raise TimedOut(f"{' '.join(words)} was ended after {timeout:g} seconds\n{output}") from None
    except BaseException:
        end_group(process)
        raise
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def succeed(
    *command: str | Path,
    cwd: Path,
    variables: Mapping[str, str] | None = None,
    timeout: float = TIMEOUT_SECONDS,
) -> str:
    """Run a command that must succeed; return its output.

    Raises:
        AssertionError: it failed; the text contains its output.
        TimedOut: it took too long.

    """
    done = run(*command, cwd=cwd, variables=variables, timeout=timeout)
    output = done.stdout + done.stderr
    assert done.returncode == 0, f"{' '.join(map(str, command))} exited {done.returncode}\n{output}"
    return output


def end_group(process: subprocess.Popen[str]) -> tuple[str, str]:
    """End a process and its group; return its output.

    It is interrupted first, as by Ctrl-C, so that it can stop processes in other groups (a test
    run stops its PostgreSQL and shows the running test). Processes that are left after
    ``GRACE_SECONDS`` are killed.
    """
    signal_group(process.pid, signal.SIGINT)
    try:
        return _rest(process, GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        signal_group(process.pid, signal.SIGKILL)
    return _rest(process, KILLED_SECONDS)


def _rest(process: subprocess.Popen[str], timeout: float) -> tuple[str, str]:
    out, err = process.communicate(timeout=timeout)
    return out or "", err or ""


def signal_group(leader: int, number: signal.Signals) -> None:
    """Send a signal to a process group, if it still exists."""
    with suppress(ProcessLookupError):
        os.killpg(leader, number)
