"""The HTTP server: uvicorn with limits for clients, and a time limit for the shutdown."""

import gc
import math
import os
import sys
import threading
from asyncio import Transport
from socket import socket
from types import FrameType

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ..settings import Settings

# uvloop accepts only one connection for each listener in each turn of the event loop, and every turn
# may begin a request. With one listener, a client that comes after 200 others waits for 200 turns.
LISTENERS = 100
LAST_SECONDS = 2.0  # after the time for requests; then the process ends, whatever still runs
MAX_HEAD_BYTES = 32_768  # of a request's address and headers; proxies allow as much or less
MAX_REQUESTS_AHEAD = 100  # requests that a client may send before it gets the first answer
PIECE_BYTES = 8_192  # the limits are checked after each piece: a head may exceed its limit by this

HEAD_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)


def server_for(app: str, settings: Settings) -> "Server":
    """A server for the application that the factory ``app`` makes: package.module:function."""
    config = uvicorn.Config(
        app,
        factory=True,
        http=_protocol(settings.client_timeout),
        ws="none",
        timeout_graceful_shutdown=math.floor(settings.shutdown_timeout - LAST_SECONDS),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # TRUSTED_PROXIES names the trusted ones
        reset_contextvars=True,  # else a request sent ahead logs the user of the one before
    )
    return Server(config, settings.shutdown_timeout)


class Protocol(HttpToolsProtocol):
    """A connection with limits for its client: time, and memory for what waits.

    uvicorn itself has a time limit only for the pause between two requests. Its parser keeps a
    header of any size, and copies what it has with each part that arrives.

    Attributes:
        patience: seconds for each of: the head of a request, its body, a part of an answer.
        due: time by the loop's clock at which the client must have sent the rest of its request.
        drain_due: time at which the client must have received a part of the waiting data.
        head_left: how many bytes the client may still send until the head ends, or the trailers
            after a body in chunks.
    """

    patience: float
    due = math.inf
    drain_due = math.inf
    head_left = math.inf

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._begin_to_wait()

    def data_received(self, data: bytes) -> None:
        if self.due == math.inf and (self.cycle is None or self.cycle.response_complete):
            self._begin_to_wait()
        for start in range(0, len(data), PIECE_BYTES):
            piece = data[start : start + PIECE_BYTES]
            self.head_left -= len(piece)
            super().data_received(piece)
            if self.head_left < 0:
                self._refuse_head()
            if len(self.pipeline) > MAX_REQUESTS_AHEAD:
                self.transport.abort()
            if self.transport.is_closing():
                return

    def on_message_begin(self) -> None:
        self.head_left = MAX_HEAD_BYTES
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._begin_to_wait()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self.head_left = MAX_HEAD_BYTES  # for what is between two chunks, or after the last one
        super().on_body(body)

    def on_message_complete(self) -> None:
        self.due = self.head_left = math.inf
        super().on_message_complete()

    def resume_writing(self) -> None:
        self.drain_due = math.inf
        super().resume_writing()

    def end_if_overdue(self) -> None:
        """Close the connection if the client's time is up. Called every second."""
        now = self.loop.time()
        if not self.transport.get_write_buffer_size():
            self.drain_due = math.inf
        elif self.drain_due == math.inf:
            self.drain_due = now + self.patience
        if now > self.due or now > self.drain_due:
            self.transport.abort()

    def _begin_to_wait(self) -> None:
        self.due = self.loop.time() + self.patience

    def _refuse_head(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(HEAD_TOO_LARGE)
            self.transport.close()
        else:  # this would be read as the answer to an earlier request
            self.transport.abort()


def _protocol(patience: float) -> type[Protocol]:
    return type("PatientProtocol", (Protocol,), {"patience": patience})


class Server(uvicorn.Server):
    """Closes connections whose time is up, and ends the process when its own time is up.

    Args:
        shutdown_timeout: seconds after the first signal until the process ends.
    """

    def __init__(self, config: uvicorn.Config, shutdown_timeout: float) -> None:
        super().__init__(config)
        self._shutdown_timeout = shutdown_timeout

    def run(self, sockets: list[socket] | None = None) -> None:
        """Answer requests until a signal ends it.

        Args:
            sockets: bound sockets; None for the host and port of the configuration.
        """
        if sockets is not None:
            sockets = [*sockets, *(bound.dup() for bound in sockets * (LISTENERS - 1))]
        super().run(sockets)

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Start the application, then listen."""
        await super().startup(sockets)
        # What was imported and made so far stays until the end. Looking through it for garbage takes
        # about 200 ms, in which nobody gets an answer.
        gc.freeze()

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second."""
        if counter % 10 == 0:
            self._end_overdue()
        return await super().on_tick(counter)

    def _end_overdue(self) -> None:
        for connection in list(self.server_state.connections):
            if isinstance(connection, Protocol):
                connection.end_if_overdue()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to shut down."""
        if not self.should_exit:
            # Python waits for its threads at exit, and one may wait for a database that never
            # answers.
            last = threading.Timer(self._shutdown_timeout, _end)
            last.daemon = True
            last.start()
        super().handle_exit(sig, frame)


def _end() -> None:
    print(
        "Ended at once: something was still running when the time was up.",
        file=sys.stderr,
        flush=True,
    )
    os._exit(1)
