"""Who asks: for routes that need to know."""

from typing import Annotated

import structlog
from fastapi import Depends, Security
from fastapi.security import OAuth2PasswordBearer

from ..web.dependencies import LanesDep, SessionDep
from . import errors
from .models import User
from .service import TokensDep
from .tokens import Claims, find_holder

_bearer = OAuth2PasswordBearer(
    "auth/token",
    scheme_name="Account",
    description="Your email address and password.",
    auto_error=False,
)


async def get_claims(tokens: TokensDep, token: Annotated[str | None, Security(_bearer)]) -> Claims:
    """What the token says that came with the request. Forged ones get no further than this.

    Raises:
        HttpError: 401, there is none, or it is not good.
    """
    claims = tokens.read(token, "access") if token else None
    if claims is None:
        raise errors.not_signed_in()
    return claims


ClaimsDep = Annotated[Claims, Depends(get_claims)]


async def get_current_user(claims: ClaimsDep, session: SessionDep, lanes: LanesDep) -> User:
    """The user whose token came with the request, looked up anew each time.

    Asynchronous, so that what it binds to the logs is there for the whole request.

    Raises:
        HttpError: 401, the token is not good any more.
    """
    user = await lanes.database.in_thread(_look_up, session, claims)
    if user is None:
        raise errors.not_signed_in()
    structlog.contextvars.bind_contextvars(user=str(user.id))
    return user


def _look_up(session: SessionDep, claims: Claims) -> User | None:
    user = find_holder(session, claims)
    session.commit()  # the connection goes back: what comes next may wait
    return user


CurrentUser = Annotated[User, Depends(get_current_user)]
