"""The status page's sign-in: the admin key becomes a cookie that expires soon.

The cookie does not contain the key. It contains its expiry time, signed with the key, so all
cookies become invalid when the key changes.
"""

import hashlib
import hmac
import time

from fastapi import Request, Response

COOKIE = "operations"
PATH = "/operations"
SECONDS = 30 * 60


def keep_signed_in(request: Request, response: Response) -> None:
    """Set the cookie."""
    ends_at = str(int(time.time()) + SECONDS)
    response.set_cookie(
        COOKIE,
        f"{ends_at}.{_sign(request, 'session', ends_at)}",
        max_age=SECONDS,
        path=path_of(request),
        secure=request.app.state.settings.in_production,
        httponly=True,
        samesite="strict",
    )


def sign_out(request: Request, response: Response) -> None:
    """Delete the cookie."""
    response.delete_cookie(COOKIE, path=path_of(request), httponly=True, samesite="strict")


def is_signed_in(request: Request) -> bool:
    """Whether the request has a valid cookie."""
    if request.app.state.settings.admin_key is None:
        return False
    ends_at, _, signature = request.cookies.get(COOKIE, "").partition(".")
    if not hmac.compare_digest(signature.encode(), _sign(request, "session", ends_at).encode()):
        return False
    return int(ends_at) > time.time()


def form_token(request: Request) -> str:
    """A token in the forms of this page that no other site can know (CSRF)."""
    return _sign(request, "form", request.cookies.get(COOKIE, ""))


def is_own_form(request: Request, token: str) -> bool:
    """Whether a form came from this page."""
    return hmac.compare_digest(token.encode(), form_token(request).encode())


def path_of(request: Request) -> str:
    """The page's path, including the path prefix of a proxy."""
    return f"{request.scope.get('root_path', '')}{PATH}"


def _sign(request: Request, purpose: str, text: str) -> str:
    key = request.app.state.settings.admin_key.get_secret_value().encode()
    return hmac.new(key, f"{purpose} {text}".encode(), hashlib.sha256).hexdigest()
