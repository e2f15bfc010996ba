"""Which tenant a request is for."""

from typing import Annotated

import structlog
from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader

from ..errors import HttpProblem
from ..migrate import MigrationError
from ..migrate.tenants import schema_of

_header = APIKeyHeader(
    name="X-Tenant-ID",
    scheme_name="Tenant",
    description="The tenant's id.",
    auto_error=False,
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
    return str(tenant)


TenantDep = Annotated[str, Depends(request_tenant)]
