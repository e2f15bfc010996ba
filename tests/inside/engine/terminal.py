"""The service's command line on a terminal."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from engine import command_line
from engine.support import Database, Folder


def on_a_terminal(
    database: Database, folder: Folder, *words: str, stream: str = "stdout", **variables: str
) -> str:
    """Run ``migrate <words>``; it must succeed. Return the text of the one stream on a terminal."""
    pty = pytest.importorskip("pty")  # Windows has none
    reader, writer = pty.openpty()
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: writer}
    settings = {"ENVIRONMENT": "development", "DATABASE_URL": database.address}
    process = subprocess.Popen(
        [sys.executable, command_line.__file__, str(folder.path), *words],
        cwd=folder.path,
        env=os.environ | settings | variables,
        stdin=subprocess.DEVNULL,
        stdout=streams["stdout"],
        stderr=streams["stderr"],
    )
    os.close(writer)
    text = b""
    try:
        while part := os.read(reader, 4096):
            text += part
    except OSError:  # on Linux this means that the other end is closed
        pass
    finally:
        os.close(reader)
    assert process.wait(60) == 0
    return text.decode()
