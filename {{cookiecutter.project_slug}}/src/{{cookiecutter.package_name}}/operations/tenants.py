"""The state of tenants, as JSON for administrators."""

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from sqlalchemy import Engine

from ..migrate import MigrationConfig
from ..migrate.tenants import list_tenants
from ..migrations.target import count_tenants
from ..tenants.schemas import TenantDetails
from ..web.admin_key import AdminDep
from ..web.pagination import After, Limit, Page
from ..web.problem_details import responses
from .routes import ask

router = APIRouter(
    prefix="/operations",
    tags=["operations"],
    dependencies=[AdminDep],
    responses=responses(403, 422, 429, 503),
)


class TenantCount(BaseModel):
    """The number of tenants with one revision and one state."""

    revision: str | None = Field(examples=["003"])
    status: str = Field(examples=["ready"])
    tenants: int


class Tenants(Page[TenantDetails]):
    """The numbers by revision and state, and a page of the failed tenants, by id."""

    counts: list[TenantCount]


@router.get("/tenants")
async def read_tenants_state(
    request: Request,
    after: After = "",
    limit: Limit = 50,
) -> Tenants:
    """The number of tenants by revision and state, and the failed tenants with their errors."""

    def look(engine: Engine, _: MigrationConfig) -> Tenants:
        counts = count_tenants(engine)
        rows = (
            []
            if counts is None
            else list_tenants(engine, after=after, limit=limit + 1, failed=True)
        )
        items = [TenantDetails.model_validate(row) for row in rows[:limit]]
        return Tenants(
            items=items,
            next=items[-1].id if len(rows) > limit else None,
            counts=[
                TenantCount(revision=revision, status=status, tenants=number)
                for revision, status, number in counts or ()
            ],
        )

    return await ask(request, look)
