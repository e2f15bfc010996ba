"""The tenant of a request."""

from typing import Annotated

import structlog
from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader

from ..errors import ActionableError, HttpError
from ..migrate.tenants import schema_of
from .tenant_errors import tenant_named_twice, tenant_not_named

HEADER = "X-Tenant-ID"
_header = APIKeyHeader(
    name=HEADER,
    scheme_name="Tenant",
    description="The tenant's id.",
    auto_error=False,
)


async def request_tenant(
    request: Request, header: Annotated[str | None, Security(_header)] = None
) -> str:
    """The tenant's id, from the header or, with TENANT_FROM_HOST, from the host's first label.

    Asynchronous, so that the tenant is in every log line of the request.

    Raises:
        HttpError: 400, if the request names no tenant, several, or an invalid one.
    """
    if len(request.headers.getlist("X-Tenant-ID")) > 1:
        raise tenant_named_twice()
    tenant = header
    if tenant is None and request.app.state.settings.tenant_from_host:
        tenant = (request.url.hostname or "").partition(".")[0]
    if not tenant:
        raise tenant_not_named()
    try:
        schema_of(tenant)
    except ActionableError as error:
        raise HttpError.from_error(error, 400) from None
    structlog.contextvars.bind_contextvars(tenant=tenant)
    return tenant


TenantDep = Annotated[str, Depends(request_tenant)]
