"""Which tenant a request is for."""

from typing import Annotated

import structlog
from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader

from ..errors import HttpProblem
from ..migrate import MigrationError
from ..migrate.schemas import schema_of

_header = APIKeyHeader(
    name="X-Tenant-ID",
    scheme_name="Tenant",
    description="The tenant's id.",
    auto_error=False,
)


class UnknownTenant(HttpProblem):
    """There is no such tenant."""

    def __init__(self, tenant: str) -> None:
        super().__init__(
            404,
            f"There is no tenant {tenant!r}.",
            "The request did nothing.",
            "Correct the header X-Tenant-ID, or ask an administrator to make the tenant.",
        )


class TenantNotReady(HttpProblem):
    """The tenant exists and cannot be served now."""

    def __init__(self, tenant: str, status: str) -> None:
        super().__init__(
            503,
            f"Tenant {tenant!r} is not ready: {status}.",
            "The request did nothing.",
            "Try again later; administrators see the cause with: tenant list",
        )


async def request_tenant(
    request: Request, header: Annotated[str | None, Security(_header)] = None
) -> str:
    """The tenant's id, from the header or, when so configured, from the host name's first label.

    Asynchronous, so that what it binds to the logs is there for the whole request.

    Raises:
        HttpProblem: 400, the request names no tenant, or none that could be.
    """
    tenant = header
    if tenant is None and request.app.state.settings.tenant_from_host:
        tenant = (request.url.hostname or "").partition(".")[0]
    try:
        schema_of(tenant or "")
    except MigrationError as error:
        problem = error.problem if tenant else "The request names no tenant."
        raise HttpProblem(
            400, problem, "The request did nothing.", "Send the tenant's id in X-Tenant-ID."
        ) from None
    structlog.contextvars.bind_contextvars(tenant=tenant)
    request.state.tenant = tenant
    return str(tenant)


def tenant_of(request: Request) -> str:
    """The tenant that :func:`request_tenant` found for this request."""
    tenant: str = request.state.tenant
    return tenant


TenantDep = Annotated[str, Depends(request_tenant)]
