"""A service's command line, run by forks of one process that has imported the service.

    python forked.py serve <socket> <package>    imports the package, and waits
    python -S forked.py run <socket> <words>     runs ``<package> <words>`` there

A command has its own process, and the terminal, folder and environment of its caller. It
uses the modules as they were at the start: do not change imported code meanwhile.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys

LONGEST_REQUEST = 1_000_000


def serve(address: str, package: str) -> None:
    """Answer until killed."""
    import preloaded  # noqa: F401

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os._exit(_become(connection, package))
            connection.close()


def _become(connection: socket.socket, package: str) -> int:
    """Run the requested command in this process; send its exit code, and return it."""
    request, terminal, _, _ = socket.recv_fds(connection, LONGEST_REQUEST, 3)
    for number, handle in enumerate(terminal):
        os.dup2(handle, number)
        os.close(handle)
    message = json.loads(request)
    os.chdir(message["folder"])
    os.environ.clear()
    os.environ.update(message["variables"])
    sys.argv = [package, *message["words"]]
    code = _run(package)
    sys.stdout.flush()
    sys.stderr.flush()
    connection.sendall(str(code).encode())
    return code


def _run(package: str) -> int:
    import runpy
    import traceback

    try:
        runpy.run_module(package, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def run(address: str, *words: str) -> int:
    """Request a command; return its exit code."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        message = {"folder": os.getcwd(), "variables": dict(os.environ), "words": words}  # noqa: PTH109
        socket.send_fds(connection, [json.dumps(message).encode()], [0, 1, 2])
        return int(connection.recv(16) or 1)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(*sys.argv[2:])
    sys.exit(run(*sys.argv[2:]))
