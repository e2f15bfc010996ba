"""Whether the process lives, and whether it can serve."""

from typing import Literal

from fastapi import APIRouter, Request, Response, status
from pydantic import BaseModel

from ..startup import readiness

router = APIRouter(prefix="/health", tags=["health"])


class Health(BaseModel):
    """The answer of both checks."""

    status: Literal["ok", "unavailable"] = "ok"
    reason: str | None = None


@router.get("/live")
def live() -> Health:
    """The process answers. A failure means: restart it."""
    return Health()


@router.get("/ready", responses={status.HTTP_503_SERVICE_UNAVAILABLE: {"model": Health}})
def ready(request: Request, response: Response) -> Health:
    """The database answers and has every migration. A failure means: send no requests here."""
    state = request.app.state
    is_ready, reason = readiness(state.engine, state.settings)
    if is_ready:
        return Health(reason=reason)
    response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return Health(status="unavailable", reason=reason)
