"""What routes ask for: a session of the request's tenant, and what a token is bound to."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.orm import Session

from ..database.tenant_session import tenant_session
from .request_tenant import HEADER, TenantDep

# The header that carries each claim of ``token_binding`` in a request.
BINDING_HEADERS = {"tenant": HEADER}


def get_session(request: Request, tenant: TenantDep) -> Iterator[Session]:
    """One session for each request. Call ``session.commit()`` to keep what was written."""
    state = request.app.state
    with tenant_session(
        state.engine,
        tenant,
        role=state.settings.tenant_roles,
        tenants_per_connection=state.settings.tenants_per_connection,
    ) as session:
        yield session


def token_binding(tenant: TenantDep) -> dict[str, str]:
    """Claims that every token of this request carries, and that a token must carry to count.

    A token of one tenant is no token in another.
    """
    return {"tenant": tenant}


SessionDep = Annotated[Session, Depends(get_session)]
TokenBindingDep = Annotated[dict[str, str], Depends(token_binding)]
