"""Middleware: each request passes it before it reaches a route."""

import re
from collections.abc import Sequence

from fastapi.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from ..database.errors import database_away
from ..replica import Replica
from ..settings import Settings
from .health import LiveAtOnce
from .problem_details import PlainTextProblems, UnexpectedErrors, answer
from .request_log import Observe, RequestLog
from .turns import Turns

MAX_FORM_BYTES = 65_536

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
ENCRYPTED_ONLY = {"Strict-Transport-Security": "max-age=31536000; includeSubDomains"}


def middleware(settings: Settings, observe: Observe | None = None) -> list[Middleware]:
    """The middleware of every request, outermost first. Each one costs time: keep the list short.

    Args:
        observe: called for every answer.
    """
    headers = HEADERS | (ENCRYPTED_ONLY if settings.in_production else {})
    way_in = [Middleware(Turns), Middleware(RequestLog, headers=headers, observe=observe)]
    if settings.trusted_proxies:
        trusted = list(settings.trusted_proxies)
        way_in.append(Middleware(ProxyHeadersMiddleware, trusted_hosts=trusted))
    if settings.cors_origins:
        way_in += [
            Middleware(PlainTextProblems),
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors_origins,
                allow_methods=["*"],
                allow_headers=["*"],
            ),
        ]
    if "*" not in settings.hosts:
        way_in.append(Middleware(TrustedHosts, settings.hosts))
    return [
        *way_in,
        Middleware(LiveAtOnce),
        Middleware(BodyLimit, max_body_size=settings.max_body_bytes),
        Middleware(UnexpectedErrors),
        Middleware(OnlyWhileCounted),
    ]


class TrustedHosts:
    """Refuses host names that are not the service's own, except for health checks.

    Health checks use any address of the machine. A name that is listed literally passes at once.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self.app = app
        checked = TrustedHostMiddleware(app, allowed_hosts=hosts, www_redirect=False)
        self.checked = PlainTextProblems(checked)
        listed = "|".join(re.escape(name) for name in hosts if "*" not in name) or "(?!)"
        self.listed = re.compile(rf"(?:{listed})(?::[0-9]+)?".encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        passes = scope["type"] != "http" or scope["path"].startswith("/health/")
        if passes or self.listed.fullmatch(_host(scope)):
            await self.app(scope, receive, send)
        else:
            await self.checked(scope, receive, send)


def _host(scope: Scope) -> bytes:
    hosts: list[bytes] = [value for name, value in scope["headers"] if name == b"host"]
    return hosts[0] if len(hosts) == 1 else b""


class OnlyWhileCounted:
    """Answers 503 while this process may count as dead: the schema may have changed meanwhile."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if await self._may_answer(scope):
            await self.app(scope, receive, send)
        else:
            await answer(scope, database_away())(scope, receive, send)

    async def _may_answer(self, scope: Scope) -> bool:
        if scope["type"] != "http" or scope["path"].startswith("/health/"):
            return True
        replica: Replica | None = getattr(scope["app"].state, "replica", None)
        return replica is None or not replica.is_stale or await replica.wake()


class BodyLimit:
    """Refuses too large bodies. A request without a body passes at once.

    A form in the format of a query has a lower limit: to read 1 MB of it takes a second. Files come
    in another format.
    """

    def __init__(self, app: ASGIApp, max_body_size: int) -> None:
        self.app = app
        self.limited, self.form_limited = (
            PlainTextProblems(RequestBodyLimitMiddleware(app, size))
            for size in (max_body_size, min(MAX_FORM_BYTES, max_body_size))
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not any(name in _OF_A_BODY for name, _ in scope["headers"]):
            await self.app(scope, receive, send)
        elif any(
            name == b"content-type" and _FORM in value.lower() for name, value in scope["headers"]
        ):
            await self.form_limited(scope, receive, send)
        else:
            await self.limited(scope, receive, send)


_OF_A_BODY = {b"content-length", b"transfer-encoding"}
_FORM = b"urlencoded"
