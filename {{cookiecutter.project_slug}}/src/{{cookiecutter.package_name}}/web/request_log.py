"""A log line for each request, and an id that is the same in all its lines."""

import random
import re
import time
from collections.abc import Callable, Mapping

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .client import client_of
from .turns import ARRIVED

REQUEST_ID_HEADER = "X-Request-ID"
ERROR_CODE = "error_code"  # key in a request's scope: the code of the error in its answer
# Requested every few seconds: logged at DEBUG.
PROBES = ("/health/live", "/health/ready", "/metrics")
_REQUEST_ID_KEY = REQUEST_ID_HEADER.lower().encode()
_REQUEST_ID = re.compile(rb"^[A-Za-z0-9._-]{1,64}$")


Observe = Callable[[Scope, int, float, str | None], None]


class RequestLog:
    """ASGI middleware: gives each request an id for its log lines, and logs the answer.

    Args:
        headers: added to every answer that does not set them itself.
        observe: called for every answer with scope, status, seconds, and the code of an error.
    """

    def __init__(
        self, app: ASGIApp, headers: Mapping[str, str], observe: Observe | None = None
    ) -> None:
        self.app = app
        self.observe = observe
        self.log = structlog.stdlib.get_logger("request")
        self.headers = [(name.lower().encode(), text.encode()) for name, text in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        status = 500
        began = scope.get(ARRIVED, time.perf_counter())

        async def send_framed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = {name for name, _ in message["headers"]}
                missing = [header for header in self.headers if header[0] not in given]
                own_id = (_REQUEST_ID_KEY, request_id.encode())
                message = {**message, "headers": [*message["headers"], *missing, own_id]}
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                self._log(scope, status, began)

        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self.app(scope, receive, send_framed)
        except Exception:
            self.log.exception("request failed", method=scope["method"], path=scope["path"])
            raise
        finally:
            structlog.contextvars.clear_contextvars()

    def _log(self, scope: Scope, status: int, began: float) -> None:
        seconds = time.perf_counter() - began
        if self.observe is not None:
            self.observe(scope, status, seconds, scope.get(ERROR_CODE))
        tell = self.log.debug if scope["path"] in PROBES else self.log.info
        tell(
            "request",
            method=scope["method"],
            path=scope["path"],
            status=status,
            milliseconds=round(seconds * 1000, 1),
            client=client_of(scope),
            **({"code": scope[ERROR_CODE]} if ERROR_CODE in scope else {}),
        )


def _request_id(scope: Scope) -> str:
    # An id from a client appears in the logs, so only plain characters are accepted.
    for name, value in scope["headers"]:
        if name == _REQUEST_ID_KEY and _REQUEST_ID.match(value):
            return str(value.decode())
    # Not uuid4: while it asks the operating system for random bytes, a thread that computes gets the
    # interpreter, and everybody waits until it gives way.
    return f"{random.getrandbits(128):032x}"
