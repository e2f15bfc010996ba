"""A line of the log for each request, and an id that ties its lines together."""

import re
import time
from uuid import uuid4

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID_HEADER = "X-Request-ID"
ERROR_CODE = "error_code"  # key of a request's scope: the code of the error that answered it
_REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{1,64}$")


class RequestLog:
    """ASGI middleware: gives each request an id, binds it to every log line, logs the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.log = structlog.stdlib.get_logger("request")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((REQUEST_ID_HEADER.lower().encode(), request_id.encode()))
            await send(message)

        began = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, receive, send_with_id)
            except Exception:
                self.log.exception("request failed", method=scope["method"], path=scope["path"])
                raise
            finally:
                milliseconds = round((time.perf_counter() - began) * 1000, 1)
                self.log.info(
                    "request",
                    method=scope["method"],
                    path=scope["path"],
                    status=status,
                    milliseconds=milliseconds,
                    **({"code": scope[ERROR_CODE]} if ERROR_CODE in scope else {}),
                )


def _request_id(scope: Scope) -> str:
    # An id from outside ends up in the logs, so it is taken only when it is plainly an id.
    wanted = REQUEST_ID_HEADER.lower().encode()
    given = next((value for name, value in scope["headers"] if name == wanted), b"").decode(
        "latin-1"
    )
    return given if _REQUEST_ID.match(given) else uuid4().hex
