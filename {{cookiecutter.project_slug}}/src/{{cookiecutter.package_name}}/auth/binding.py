"""What a token is bound to besides its user."""

from fastapi import Request


def token_binding(_request: Request) -> dict[str, str]:
    """Claims that every token of this request carries, and that a token must carry to count.

    None here. A service whose users live in several places names the place.
    """
    return {}
