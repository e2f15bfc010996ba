"""Routes for administrators to create, list and remove tenants."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response, status

from ..database.backend import for_migrations
from ..database.tenant_errors import tenant_unknown
from ..errors import ActionableError, HttpError
from ..migrate import (
    TenantRow,
    drop_tenant,
    list_tenants,
    run_tenant_migrations,
)
from ..migrate.tenants import find_tenant, schema_of
from ..migrations import config_for
from ..web.admin_key import AdminDep
from ..web.pagination import PLAIN, After, Limit, Page
from ..web.problem_details import responses
from .schemas import NewTenant, TenantDetails

router = APIRouter(
    prefix="/tenants",
    tags=["tenants"],
    dependencies=[AdminDep],
    responses=responses(403, 404, 422, 429, 503),
)


TenantId = Annotated[str, Path(pattern=PLAIN)]


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model=TenantDetails,
    responses={200: {"model": TenantDetails, "description": "The tenant existed before."}},
)
def create_tenant(new: NewTenant, request: Request, response: Response) -> TenantRow:
    """Create a tenant. Repeating the request creates no second one."""
    try:
        schema_of(new.id)
    except ActionableError as error:
        raise HttpError.from_error(error, 422) from None
    state = request.app.state
    config = config_for(state.settings)
    with _refusals_answered(), for_migrations(state.engine, state.settings) as engine:
        result = run_tenant_migrations(engine, new.id, display_name=new.name, config=config)
    if result.error is not None:
        raise HttpError.from_error(result.error, 503)
    if not result.created:
        response.status_code = status.HTTP_200_OK
    return read_tenant(new.id, request)


@router.get("")
def read_tenants(
    request: Request,
    after: After = "",
    limit: Limit = 50,
) -> Page[TenantDetails]:
    """Tenants by id, in pages."""
    with _refusals_answered():
        rows = list_tenants(request.app.state.engine, after=after, limit=limit + 1)
    items = [TenantDetails.model_validate(row) for row in rows[:limit]]
    return Page(items=items, next=items[-1].id if len(rows) > limit else None)


@router.get("/{tenant}", response_model=TenantDetails)
def read_tenant(tenant: TenantId, request: Request) -> TenantRow:
    """One tenant."""
    with _refusals_answered():
        try:
            return find_tenant(request.app.state.engine, tenant)
        except ActionableError as error:
            if error.code == "no-such-tenant":
                raise tenant_unknown(tenant) from None
            raise


@router.delete("/{tenant}", status_code=status.HTTP_204_NO_CONTENT)
def remove_tenant(tenant: TenantId, request: Request) -> None:
    """Remove a tenant with all its data."""
    read_tenant(tenant, request)
    state = request.app.state
    with _refusals_answered(), for_migrations(state.engine, state.settings) as engine:
        drop_tenant(engine, tenant, config=config_for(state.settings))


@contextmanager
def _refusals_answered() -> Iterator[None]:
    """Answer 503 if the database does not answer, or the engine refuses."""
    try:
        yield
    except HttpError:
        raise
    except ActionableError as error:
        raise HttpError.from_error(error, 503) from None
