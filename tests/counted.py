"""A service that counts its own work, since no test measures time. It runs as a process of its own:

    python counted.py PORT serve --port 8000

Whoever connects to PORT gets the number of steps so far. A step is an executed line of Python, or a
character that a method of a text or of a regular expression may read: a loop that searches a long
text again and again takes many steps. Text that is normalised counts as the square of its length,
which is the most that this may cost.
"""

from __future__ import annotations

import re
import socket
import sys
import threading
import unicodedata
from types import FrameType
from typing import Any

TEXT = (str, bytes, bytearray)

steps = 0


def count_line(_frame: FrameType, event: str, _argument: Any) -> Any:
    """Count an executed line: a trace function."""
    global steps
    if event == "line":
        steps += 1
    return count_line


def count_text(frame: FrameType, event: str, argument: Any) -> None:
    """Count the characters that a method of a text may read: a profile function."""
    global steps
    if event == "c_call":
        owner = getattr(argument, "__self__", None)
        if isinstance(owner, TEXT):
            steps += len(owner)
        elif isinstance(owner, re.Pattern):  # its text is unknown: at most the caller's longest one
            texts = (value for value in frame.f_locals.values() if isinstance(value, TEXT))
            steps += max(map(len, texts), default=0)


def count_normalizing() -> None:
    """Count what the interpreter does not report."""
    normalize = unicodedata.normalize

    def counted(form: Any, text: str, /) -> str:
        global steps
        steps += len(text) ** 2
        return normalize(form, text)

    unicodedata.normalize = counted


def answer(listener: socket.socket) -> None:
    """Send the number of steps to each client."""
    while True:
        client, _ = listener.accept()
        with client:
            client.sendall(str(steps).encode())


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", int(sys.argv.pop(1))))
    threading.Thread(target=answer, args=(listener,), daemon=True).start()
    count_normalizing()
    from my_service.cli import main

    for watch in (threading, sys):
        watch.settrace(count_line)
        watch.setprofile(count_text)
    main()
