"""What stands between the network and the routes."""

from fastapi.middleware import Middleware
from starlette.datastructures import MutableHeaders
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from ..settings import Settings
from .problem_details import PlainTextProblems, UnexpectedErrors
from .request_log import RequestLog

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
ENCRYPTED_ONLY = {"Strict-Transport-Security": "max-age=31536000; includeSubDomains"}


def middleware(settings: Settings) -> list[Middleware]:
    """Every request's way in, from the outside."""
    headers = HEADERS | (ENCRYPTED_ONLY if settings.in_production else {})
    way_in = [
        Middleware(RequestLog),
        Middleware(SecurityHeaders, headers=headers),
        Middleware(PlainTextProblems),
    ]
    if settings.trusted_proxies:
        trusted = list(settings.trusted_proxies)
        way_in.append(Middleware(ProxyHeadersMiddleware, trusted_hosts=trusted))
    if settings.cors_origins:
        way_in.append(
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors_origins,
                allow_methods=["*"],
                allow_headers=["*"],
            )
        )
    return [
        *way_in,
        Middleware(TrustedHosts, allowed_hosts=settings.hosts),
        Middleware(RequestBodyLimitMiddleware, max_body_size=settings.max_body_bytes),
        Middleware(UnexpectedErrors),
    ]


class TrustedHosts(TrustedHostMiddleware):
    """Refuses host names that are not the service's own, but not to those who check its health.

    They come by whatever address a machine has.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/health/"):
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


class SecurityHeaders:
    """ASGI middleware: headers for every answer that does not set its own."""

    def __init__(self, app: ASGIApp, headers: dict[str, str]) -> None:
        self.app = app
        self.headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = MutableHeaders(raw=message["headers"])
                for name, value in self.headers.items():
                    given.setdefault(name, value)
                message = {**message, "headers": given.raw}
            await send(message)

        await self.app(scope, receive, send_with_headers)
