"""Helpers for the tests of the documentation: pages, their blocks, and a shell to run them."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from serving import running, wait_until

from tools.process import clean_environment, end_group, succeed
from tools.services import INSIDE, ServiceEnvironment

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
SERVES = ("make dev", "serve --reload")
WAIT_SECONDS = 60


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: ``sh`` is run, ``console`` is shown and cannot be run here."""

    heading: str
    language: str
    code: str


def read(page: Path) -> str:
    """A page's text."""
    return page.read_text(encoding="utf-8")


def blocks(page: Path, *languages: str) -> list[Block]:
    """The page's blocks in these languages, from the top."""
    text = read(page)
    # A comment in a shell block is no heading.
    prose = _FENCE.sub(lambda fence: " " * len(fence[0]), text)
    headings = [(found.start(), found[1]) for found in _HEADING.finditer(prose)]
    return [
        Block([title for at, title in headings if at < fence.start()][-1], fence[1], fence[2])
        for fence in _FENCE.finditer(text)
        if fence[1] in languages
    ]


def rows(text: str) -> Iterator[list[str]]:
    """The rows of every table in a text, without headings and rulers."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if line.startswith("|") and not set("".join(cells)) <= set("- "):
            yield cells


class Shell:
    """A shell in which ``uv run …``, ``uvx …`` and ``make …`` find the tests' own environments.

    Nothing is installed: uv runs programs of the shared environment, and the service's command runs
    the code in the project.
    """

    def __init__(self, environment: ServiceEnvironment, uv: str, folder: Path) -> None:
        self.environment = environment
        self.bin = folder / "bin"
        self.bin.mkdir()
        command = f'exec "{environment.python}" -m my_service "$@"'
        self.script("my-service", command)
        self.script("uvx", 'exec "$@"')
        (self.bin / "uv").symlink_to(uv)
        places = [self.bin, environment.python.parent, Path(sys.executable).parent]
        self.variables = {
            "PATH": os.pathsep.join([*map(str, places), os.environ["PATH"]]),
            "UV_PROJECT_ENVIRONMENT": str(environment.folder),
            "UV_NO_SYNC": "1",
            "UV_OFFLINE": "1",
            "PYTHONPATH": "src",
            "PYTHONDONTWRITEBYTECODE": "",  # the next command starts quicker
        }

    def script(self, name: str, command: str) -> None:
        """Put a command on the path, instead of another of its name."""
        script = self.bin / name
        script.unlink(missing_ok=True)
        script.write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
        script.chmod(0o755)

    @contextmanager
    def forking(self, project: Path) -> Iterator[None]:
        """Run the service's command by forks of one process that has imported it.

        Only ``serve`` is started as usual. Other commands would need half a second for imports.
        """
        forked, socket = INSIDE / "forked.py", self.bin / "commands"
        python = self.environment.python
        path = os.pathsep.join([str(project / "src"), str(INSIDE)])
        with running(
            [str(python), str(forked), "serve", str(socket), "my_service"],
            self.bin,
            {"PYTHONPATH": path},
        ) as log:
            wait_until(socket.exists, log)
            self.script(
                "my-service",
                f'[ "$1" = serve ] && exec "{python}" -m my_service "$@"\n'
                f'exec "{python}" -S "{forked}" run "{socket}" "$@"',
            )
            yield

    def run(self, code: str, cwd: Path, **variables: str) -> str:
        """Run a block; every line must succeed. A service that it starts must become ready."""
        every = {**self.variables, **variables}
        if any(word in code for word in SERVES):
            return self._serve(code, cwd, every)
        return self.execute(code, cwd, **every)

    def execute(self, code: str, cwd: Path, **variables: str) -> str:
        """Run a block that ends by itself."""
        return succeed("sh", "-e", "-c", code, cwd=cwd, variables={**self.variables, **variables})

    def _serve(self, code: str, cwd: Path, variables: Mapping[str, str]) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        process = subprocess.Popen(
            ["sh", "-e", "-c", code],
            cwd=cwd,
            env=clean_environment({**variables, "PORT": port}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            ready = _answers(f"http://127.0.0.1:{port}/health/ready", process)
        finally:
            output, _ = end_group(process)
        assert ready, f"{code}\ndid not become ready\n{output}"
        return output


def _answers(address: str, process: subprocess.Popen[str]) -> bool:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            time.sleep(0.2)
    return False


def has_posix_shell() -> bool:
    """Skip the test if the pages' blocks cannot run here."""
    return shutil.which("sh") is not None and shutil.which("make") is not None
