"""A proxy between the service and its database that tests close and freeze."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator


class Proxy:
    """Forwards bytes between its own port and a server's socket."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._flows = threading.Event()
        self._flows.set()
        self._pairs: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port = int(self._listener.getsockname()[1])
        self._open = True
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Close every connection and accept no new one, like a server that is down."""
        self._open = False
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # closing alone does not wake accept()
        self._listener.close()
        for end in self._pairs:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._pairs.clear()

    def open_again(self) -> None:
        """Accept connections again, at the same port."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=200)
        self._open = True
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> None:
        """Forward nothing, like a server that was stopped by a signal."""
        self._flows.clear()

    def thaw(self) -> None:
        """Forward again, waiting data too."""
        self._flows.set()

    def _accept(self) -> None:
        listener = self._listener
        while self._open:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._server)
            self._pairs += [client, server]
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._forward, args=(source, sink), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._flows.wait()
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def proxy_to(address: str) -> Iterator[tuple[Proxy, str]]:
    """A proxy to the PostgreSQL server at an address, and the address of the proxy."""
    folder = re.search(r"host=([^&]+)", address)
    assert folder, address
    proxy = Proxy(f"{folder[1]}/.s.PGSQL.5432")
    start, _, name = address.partition("?")[0].rpartition("/")
    user = start.partition("://")[2].partition("@")[0].rstrip(":")
    try:
        yield proxy, f"postgresql+psycopg://{user}@127.0.0.1:{proxy.port}/{name}?sslmode=disable"
    finally:
        proxy.thaw()
        proxy.close()
