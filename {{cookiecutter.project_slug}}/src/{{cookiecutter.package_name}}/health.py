"""Whether the process lives, and whether it can serve."""

from typing import Literal

from fastapi import APIRouter, Request, Response, status
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

from .database.session import ping
from .migrate import MigrationError
from .schema import why_behind

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
    reason = _why_not_ready(request)
    if reason is None:
        return Health()
    response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return Health(status="unavailable", reason=reason)


def _why_not_ready(request: Request) -> str | None:
    engine = request.app.state.engine
    try:
        ping(engine)
        return why_behind(engine)
    except SQLAlchemyError:
        return "the database does not answer"
    except MigrationError as error:
        return error.problem
