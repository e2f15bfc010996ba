"""Marks for the bodies of migrations that are not for every schema.

Every schema carries the whole chain of revisions, so that a revision means the same everywhere; a
body that is not for a schema is stepped over there.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

Body = Callable[..., None]


def shared_only(body: Body) -> Body:
    """For ``upgrade`` and ``downgrade``: run in the shared schema ``public`` only."""
    return _only(body, in_tenant=False)


def tenant_only(body: Body) -> Body:
    """For ``upgrade`` and ``downgrade``: run in tenants' schemas only."""
    return _only(body, in_tenant=True)


def _only(body: Body, *, in_tenant: bool) -> Body:
    @wraps(body)
    def run(**arguments: Any) -> None:
        from alembic import op

        if bool(op.get_context().opts["scope"].name) is in_tenant:
            body(**arguments)

    return run
