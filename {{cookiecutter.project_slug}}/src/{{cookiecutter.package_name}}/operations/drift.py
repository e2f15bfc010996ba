"""The comparison of the database with its migrations: the last result, and a new comparison."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from ..migrations.verification import Verification, Verifications
from ..web.admin_key import AdminDep
from ..web.pagination import Limit
from ..web.problem_details import responses
from ..web.rate_limits import limit as count_attempt
from .routes import ask
from .schemas import DifferenceDetails, Drift, TenantsCompared

router = APIRouter(
    prefix="/operations",
    tags=["operations"],
    dependencies=[AdminDep],
    responses=responses(403, 422, 429, 503),
)

FIRST_PAGE = 50

After = Annotated[
    str,
    Query(pattern=r"^\d{0,9}$", description="Number of differences on the previous pages."),
]


@router.get("/drift")
async def read_drift(request: Request, after: After = "", limit: Limit = FIRST_PAGE) -> Drift:
    """The last comparison of this instance, and a page of its differences."""
    return _told(_verifications(request).last, int(after or 0), limit)


@router.post("/drift")
async def verify_now(request: Request) -> Drift:
    """Compare now, by running the applied migrations in an empty database on the same server.

    It changes nothing in the service's database. Only one comparison runs at a time.
    """
    return _told(await verify(request), 0, FIRST_PAGE)


async def verify(request: Request) -> Verification:
    """Compare now, after counting the attempt.

    Raises:
        HttpError: 429, too many comparisons; 503, nothing could be compared.
    """
    await count_attempt(request, "verify")
    verifications = _verifications(request)
    async with verifications.turn:
        return await ask(request, verifications.verify)


def _verifications(request: Request) -> Verifications:
    found: Verifications = request.app.state.verifications
    return found


def _told(last: Verification | None, after: int, limit: int) -> Drift:
    if last is None:
        return Drift(items=[], next=None)
    end = after + limit
    return Drift(
        items=[DifferenceDetails.model_validate(one) for one in last.differences[after:end]],
        next=str(end) if end < len(last.differences) else None,
        in_step=last.is_in_step,
        verified_at=last.verified_at,
        seconds=last.seconds,
        pending=list(last.pending),
        changed_since_run=last.changed_since_run,
        tenants=TenantsCompared.of(last.tenants) if last.tenants else None,
    )
