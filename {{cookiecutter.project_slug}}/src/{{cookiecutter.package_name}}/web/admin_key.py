"""Administrators hold the key that ADMIN_KEY names. Without one, nobody is an administrator.

Guard a router with it: ``APIRouter(dependencies=[AdminDep])``.
"""

import secrets
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import APIKeyHeader

from ..errors import HttpProblem
from .rate_limits import limit

_header = APIKeyHeader(
    name="X-Admin-Key",
    scheme_name="Administrator",
    description="The key in the setting ADMIN_KEY.",
    auto_error=False,
)


def require_admin(request: Request, given: Annotated[str | None, Security(_header)]) -> None:
    """Let administrators pass.

    Raises:
        HttpProblem: 403, the key is missing, wrong or not set.
    """
    expected = request.app.state.settings.admin_key
    if expected is None:
        solution = "Operators turn administration on by setting ADMIN_KEY."
    elif given is not None and secrets.compare_digest(
        given.encode(), expected.get_secret_value().encode()
    ):
        return
    else:
        limit(request, "admin")
        solution = "Send the administrators' key in the header X-Admin-Key."
    raise HttpProblem(403, "This is for administrators only.", "The request did nothing.", solution)


AdminDep = Security(require_admin)
