"""What a token is bound to besides its user."""

from fastapi import Request

from ..tenants.request import tenant_of


def token_binding(request: Request) -> dict[str, str]:
    """Claims that every token of this request carries, and that a token must carry to count.

    A token of one tenant is no token in another.
    """
    return {"tenant": tenant_of(request)}
