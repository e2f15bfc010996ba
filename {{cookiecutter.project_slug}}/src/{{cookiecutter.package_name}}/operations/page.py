"""The status page ``/operations`` for operators. It needs no JavaScript."""

import base64
import hashlib
import secrets
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from .. import TITLE
from ..errors import ActionableError
from ..migrations.verification import Verifications
from ..web import errors
from ..web.rate_limits import limit
from .curve import HEIGHT, WIDTH, curve_of
from .drift import verify
from .overview import Overview, read_overview
from .routes import ask
from .sign_in import form_token, is_own_form, is_signed_in, keep_signed_in, path_of, sign_out

TEMPLATES = Path(__file__).parent / "templates"
RENEW = "setTimeout(() => location.reload(), 30000)"
DIFFERENCES_SHOWN = 100
BAR_WIDTH = 400  # in the drawing's units

router = APIRouter(prefix="/operations", include_in_schema=False)


@router.get("")
async def status_page(request: Request) -> Response:
    """The page for signed-in operators, and the sign-in form for others."""
    if request.app.state.settings.admin_key is None:
        raise errors.administration_off()
    if not is_signed_in(request):
        return _page(request, "sign_in.html", refused=False)
    return await _status(request)


@router.post("/verify")
async def verify_now(request: Request, token: Annotated[str, Form()] = "") -> Response:
    """Compare the database with its migrations, if the form came from this page.

    Raises:
        HttpError: 403; 429, too many comparisons.
    """
    _require_own_form(request, token)
    try:
        await verify(request)
    except ActionableError as error:
        if error.code == "rate-limited":
            raise
        return await _status(request, status=503, not_verified=error)
    return RedirectResponse(f"{path_of(request)}#drift", 303)


@router.post("/sign-in")
async def sign_in(request: Request, key: Annotated[str, Form()] = "") -> Response:
    """Check the admin key, and redirect to the page.

    Raises:
        HttpError: 403, there is no key; 429, too many wrong keys.
    """
    expected = request.app.state.settings.admin_key
    if expected is None:
        raise errors.administration_off()
    if not secrets.compare_digest(key.encode(), expected.get_secret_value().encode()):
        await limit(request, "admin")
        return _page(request, "sign_in.html", status=403, refused=True)
    response = RedirectResponse(path_of(request), 303)
    keep_signed_in(request, response)
    return response


@router.post("/sign-out")
async def leave(request: Request, token: Annotated[str, Form()] = "") -> Response:
    """End the session, if the form came from this page.

    Raises:
        HttpError: 403.
    """
    _require_own_form(request, token)
    response = RedirectResponse(path_of(request), 303)
    sign_out(request, response)
    return response


def _require_own_form(request: Request, token: str) -> None:
    if not is_signed_in(request) or not is_own_form(request, token):
        raise errors.admin_key_refused()


async def _status(
    request: Request, *, status: int = 200, not_verified: ActionableError | None = None
) -> HTMLResponse:
    overview = await ask(request, read_overview)
    verifications: Verifications = request.app.state.verifications
    return _page(
        request,
        "status.html",
        status=status,
        **_shown(overview),
        drift=verifications.last,
        not_verified=not_verified,
        token=form_token(request),
    )


def _page(request: Request, name: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    text = _template(name).render(title=TITLE, style=style, path=path_of(request), **values)
    return HTMLResponse(text, status, headers={"Content-Security-Policy": _policy(style)})


@cache
def _template(name: str) -> Template:
    loader = FileSystemLoader(TEMPLATES)
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template(name)


@cache
def _policy(style: str) -> str:
    return (
        f"default-src 'none'; style-src {_source(style)}; script-src {_source(RENEW)}; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def _source(text: str) -> str:
    """The source of this inline style or script for a Content-Security-Policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _shown(overview: Overview) -> dict[str, Any]:
    """The values of the template, which itself computes nothing."""
    applied = [one for one in overview.status.completed if one.duration is not None]
    longest = max((one.duration or 0.0 for one in applied), default=0.0) or 1.0
    return {
        "overview": overview,
        "now": datetime.now(UTC),
        "bars": [(one, max(1.0, BAR_WIDTH * (one.duration or 0.0) / longest)) for one in applied],
        "backfills": [
            (one, BAR_WIDTH * min(1.0, one.done / one.total if one.total else 0.0))
            for one in overview.status.backfills
        ],
        "bar_width": BAR_WIDTH,
        "curve": curve_of(overview.runs),
        "curve_size": (WIDTH, HEIGHT),
        "most_differences": DIFFERENCES_SHOWN,
        "script": RENEW,
    }
