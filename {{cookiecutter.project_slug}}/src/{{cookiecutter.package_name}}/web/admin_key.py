"""Administrators send the key in ADMIN_KEY. If it is not set, nobody is an administrator.

Guard a router with it: ``APIRouter(dependencies=[AdminDep])``.
"""

import secrets
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import APIKeyHeader

from . import errors
from .rate_limits import limit

_header = APIKeyHeader(
    name="X-Admin-Key",
    scheme_name="Administrator",
    description="The key in the setting ADMIN_KEY.",
    auto_error=False,
)


async def require_admin(request: Request, given: Annotated[str | None, Security(_header)]) -> None:
    """Let administrators pass.

    Raises:
        HttpError: 403, the key is missing, wrong or not set.
    """
    expected = request.app.state.settings.admin_key
    if expected is None:
        raise errors.administration_off()
    if given is None or not secrets.compare_digest(
        given.encode(), expected.get_secret_value().encode()
    ):
        await limit(request, "admin")
        raise errors.admin_key_refused()


AdminDep = Security(require_admin)
