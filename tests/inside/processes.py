"""Processes to race and kill: each with its own pid, memory and connections, and fast to start.

They are forked from a server that has imported the service once, because starting a hundred
interpreters took most of the time of these tests.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

SECONDS = 120.0

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["preloaded"])


class Process:
    """Runs ``act(*arguments)`` as a separate program.

    Args:
        folder: its working directory.
        variables: its whole environment.

    """

    def __init__(
        self, act: Callable[..., None], *arguments: Any, folder: Path, variables: Mapping[str, str]
    ) -> None:
        self._files = [_temporary_file(), _temporary_file()]
        self._process = _forks.Process(
            target=_become, args=(act, arguments, folder, dict(variables), self._files)
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def kill(self) -> None:
        """End it as ``kill -9`` does."""
        self._process.kill()

    def first_error_line(self) -> str:
        """Wait for and return its first line on standard error."""
        end = time.monotonic() + SECONDS
        while "\n" not in (text := self._files[1].read_text(encoding="utf-8")):
            assert self._process.is_alive(), f"It ended and said {text!r}"
            assert time.monotonic() < end, f"It runs on and said {text!r}"
            time.sleep(0.02)
        return text.splitlines()[0]

    def finish(self) -> tuple[int, str, str]:
        """Wait for its end; return exit code, standard output and standard error."""
        self._process.join(SECONDS)
        code = self._process.exitcode
        if code is None:
            self.kill()
            self._process.join()
        out, err = (file.read_text(encoding="utf-8") for file in self._files)
        assert code is not None, f"It was ended after {SECONDS:g} seconds\n{out}{err}"
        for file in self._files:
            file.unlink(missing_ok=True)
        return code, out, err


def _temporary_file() -> Path:
    handle, name = tempfile.mkstemp(prefix="saasquatch-process-")
    os.close(handle)
    return Path(name)


def _become(
    act: Callable[..., None],
    arguments: tuple[Any, ...],
    folder: Path,
    variables: dict[str, str],
    files: list[Path],
) -> None:
    for number, file in enumerate(files, 1):
        handle = os.open(file, os.O_WRONLY | os.O_APPEND)
        os.dup2(handle, number)
        os.close(handle)
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    sys.stderr.reconfigure(encoding="utf-8", line_buffering=True)  # type: ignore[union-attr]
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    act(*arguments)
