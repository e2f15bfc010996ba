"""The checks of liveness and readiness.

Neither of them waits for a thread or a connection that requests use.
"""

from functools import lru_cache
from typing import Any, Literal

from fastapi import APIRouter, Request, Response, status
from pydantic import BaseModel, Field
from starlette.datastructures import State
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..migrations import release
from ..migrations.verification import Verifications
from ..replica import Replica
from ..startup import Readiness
from ..words import count

VERSION = release()

router = APIRouter(prefix="/health", tags=["health"])


class Health(BaseModel):
    """The answer of both checks."""

    status: Literal["ok", "unavailable"] = "ok"
    reason: str | None = None
    version: str | None = Field(None, description="The service's version.", examples=["0.1.0"])
    revision: str | None = Field(
        None, description="The database's revision at the last check.", examples=["002"]
    )


@router.head("/live", include_in_schema=False)
@router.get("/live")
async def live(request: Request) -> Health:
    """Liveness: the process answers. A failure means: restart it."""
    return _health(request.app.state)


_LIVE = "/health/live"
_LIVE_ROUTE = next(route for route in router.routes if getattr(route, "path", "") == _LIVE)
_READING = ("GET", "HEAD")


def asks_for_liveness(scope: Scope) -> bool:
    """Whether a request is a check of liveness."""
    return scope["path"] == _LIVE and scope["method"] in _READING


class LiveAtOnce:
    """ASGI middleware: answers ``/health/live`` before any work for other routes."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and asks_for_liveness(scope):
            scope["route"] = _LIVE_ROUTE  # metrics count answers by route
            for message in _answer_of_live(_revision(scope["app"].state)):
                await send(message)
        else:
            await self.app(scope, receive, send)


@lru_cache(maxsize=1)
def _answer_of_live(revision: str | None) -> tuple[Message, Message]:
    body = Health(version=VERSION, revision=revision).model_dump_json().encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    start = {"type": "http.response.start", "status": 200, "headers": headers}
    return start, {"type": "http.response.body", "body": body}


@router.head("/ready", include_in_schema=False)
@router.get("/ready", responses={status.HTTP_503_SERVICE_UNAVAILABLE: {"model": Health}})
async def ready(request: Request, response: Response) -> Health:
    """Readiness: the database answers and has every migration. A failure means: send no requests.

    The answer may be a second old. ``reason`` may also contain a notice while requests are served.
    """
    readiness: Readiness = request.app.state.readiness
    replica: Replica = request.app.state.replica
    if await replica.wake():
        is_ready, reason = await readiness.ask()
    else:
        ago = count(round(replica.silence), "second")
        is_ready, reason = False, f"the last heartbeat was {ago} ago"
    if is_ready:
        verifications: Verifications = request.app.state.verifications
        notes = filter(None, [reason, verifications.notice])
        return _health(request.app.state, reason="; ".join(notes) or None)
    response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return _health(request.app.state, status="unavailable", reason=reason)


def _health(state: State, **values: Any) -> Health:
    return Health(version=VERSION, revision=_revision(state), **values)


def _revision(state: State) -> str | None:
    readiness: Readiness | None = state.readiness
    return None if readiness is None else readiness.revision
