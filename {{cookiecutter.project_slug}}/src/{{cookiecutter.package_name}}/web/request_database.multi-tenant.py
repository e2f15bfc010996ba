"""The database of a request: the schema of its tenant."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.orm import Session

from ..database.session import begin_look_up
from ..database.tenant_session import TenantSession
from .request_tenant import HEADER, TenantDep

# The header of a request for each claim in ``RequestDatabase.binding``.
BINDING_HEADERS = {"tenant": HEADER}


class RequestDatabase:
    """Opens the sessions of a request.

    Attributes:
        binding: claims that tokens of this request contain and must contain: a token of one
            tenant is not valid in another.
    """

    def __init__(self, request: Request, tenant: str) -> None:
        self.binding: Mapping[str, str] = {"tenant": tenant}
        self._engine = request.app.state.engine
        settings = request.app.state.settings
        self._info = {
            "tenant": tenant,
            "role": settings.tenant_roles,
            "tenants_per_connection": settings.tenants_per_connection,
        }

    def open(self, *, read_only: bool = False) -> Session:
        """A session for a ``with`` block. Call ``session.commit()`` to keep the changes."""
        return TenantSession(self._engine, info=self._info, expire_on_commit=False)

    def begin_look_up(self, session: Session) -> None:
        """Begin a transaction for one statement that reads in the tenant's schema."""
        begin_look_up(session, {})


async def request_database(request: Request, tenant: TenantDep) -> RequestDatabase:
    """The request's database."""
    return RequestDatabase(request, tenant)


RequestDatabaseDep = Annotated[RequestDatabase, Depends(request_database)]
