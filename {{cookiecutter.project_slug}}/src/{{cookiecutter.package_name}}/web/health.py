"""Whether the process lives, and whether it can serve.

Neither waits for a thread or a connection that requests use.
"""

from typing import Any, Literal

from fastapi import APIRouter, Request, Response, status
from pydantic import BaseModel, Field

from ..migrations import release
from ..migrations.verification import Verifications
from ..replica import Replica
from ..startup import Readiness

VERSION = release()

router = APIRouter(prefix="/health", tags=["health"])


class Health(BaseModel):
    """The answer of both checks."""

    status: Literal["ok", "unavailable"] = "ok"
    reason: str | None = None
    version: str | None = Field(None, description="Of the service.", examples=["0.1.0"])
    revision: str | None = Field(
        None, description="Of the database, as it was last seen.", examples=["002"]
    )


@router.head("/live", include_in_schema=False)
@router.get("/live")
async def live(request: Request) -> Health:
    """The process answers. A failure means: restart it."""
    return _health(request)


@router.head("/ready", include_in_schema=False)
@router.get("/ready", responses={status.HTTP_503_SERVICE_UNAVAILABLE: {"model": Health}})
async def ready(request: Request, response: Response) -> Health:
    """The database answers and has every migration. A failure means: send no requests here.

    The answer may be a second old. ``reason`` may also note something though requests are served.
    """
    readiness: Readiness = request.app.state.readiness
    replica: Replica = request.app.state.replica
    if await replica.wake():
        is_ready, reason = await readiness.ask()
    else:
        is_ready, reason = False, f"the last heartbeat was {replica.silence:.0f} seconds ago"
    if is_ready:
        verifications: Verifications = request.app.state.verifications
        notes = filter(None, [reason, verifications.notice])
        return _health(request, reason="; ".join(notes) or None)
    response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return _health(request, status="unavailable", reason=reason)


def _health(request: Request, **said: Any) -> Health:
    readiness: Readiness | None = request.app.state.readiness
    return Health(version=VERSION, revision=readiness and readiness.revision, **said)
