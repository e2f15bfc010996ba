"""Run a command so that nothing outside reaches into it and nothing of it stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

TIMEOUT_SECONDS = 300.0
GRACE_SECONDS = 10.0
KILLED_SECONDS = 60.0

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


class TimedOut(AssertionError):
    """A command took too long and was ended; the text holds what it had printed until then."""


def clean_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Copy the environment without what would reach into a service, and add ``variables``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", **variables}


def run(
    *command: str | Path,
    cwd: Path,
    variables: Mapping[str, str] | None = None,
    timeout: float = TIMEOUT_SECONDS,
) -> subprocess.CompletedProcess[str]:
    """Run a command in a clean environment and capture what it prints.

    The command leads a process group of its own. The group is ended after ``timeout`` seconds, and
    when this process is interrupted.

    Raises:
        TimedOut: it was not done in time.

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
        said = "".join(end_group(process))
        raise TimedOut(f"{' '.join(words)} was ended after {timeout:g} seconds\n{said}") from None
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
    """Run a command that must succeed; return all that it prints.

    Raises:
        AssertionError: it failed; the text holds what it printed.
        TimedOut: it was not done in time.

    """
    done = run(*command, cwd=cwd, variables=variables, timeout=timeout)
    said = done.stdout + done.stderr
    assert done.returncode == 0, f"{' '.join(map(str, command))} exited {done.returncode}\n{said}"
    return said


def end_group(process: subprocess.Popen[str]) -> tuple[str, str]:
    """End a process that leads a group, and the whole group; return what it printed.

    It is interrupted first, as by Ctrl-C, so that it can stop what it started elsewhere (a test
    run stops its PostgreSQL and shows where it was). What is left after ``GRACE_SECONDS`` is
    killed.
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
    """Send a signal to a whole process group, if any of it is left."""
    with suppress(ProcessLookupError):
        os.killpg(leader, number)
