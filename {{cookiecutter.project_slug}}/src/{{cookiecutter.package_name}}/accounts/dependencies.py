"""Who asks: for routes that need to know."""

from typing import Annotated

import structlog
from fastapi import Depends, Request, Security
from fastapi.security import OAuth2PasswordBearer
from sqlalchemy.orm import Session

from ..web.dependencies import SessionDep
from ..web.lanes import Lanes
from ..web.request_database import RequestDatabase, RequestDatabaseDep
from . import errors
from .models import User
from .tokens import Claims, Tokens, find_holder

_bearer = OAuth2PasswordBearer(
    "auth/token",
    scheme_name="Account",
    description="Your email address and password.",
    auto_error=False,
)


async def get_claims(
    request: Request,
    database: RequestDatabaseDep,
    token: Annotated[str | None, Security(_bearer)],
) -> Claims:
    """What the token says that came with the request. Forged ones get no further than this.

    Raises:
        HttpError: 401, there is none, or it is not good.
    """
    tokens = Tokens(request.app.state.settings, database.binding)
    claims = tokens.read(token, "access") if token else None
    if claims is None:
        raise errors.not_signed_in()
    return claims


ClaimsDep = Annotated[Claims, Depends(get_claims)]


async def get_current_user(
    request: Request, claims: ClaimsDep, session: SessionDep, database: RequestDatabaseDep
) -> User:
    """The user whose token came with the request, looked up anew each time.

    Asynchronous, so that what it binds to the logs is there for the whole request.

    Raises:
        HttpError: 401, the token is not good any more.
    """
    lanes: Lanes = request.app.state.lanes
    user = await lanes.database.in_thread(_look_up, database, session, claims)
    if user is None:
        raise errors.not_signed_in()
    structlog.contextvars.bind_contextvars(user=str(user.id))
    return user


def _look_up(database: RequestDatabase, session: Session, claims: Claims) -> User | None:
    database.begin_look_up(session)
    user = find_holder(session, claims)
    session.commit()  # the connection goes back: what comes next may wait
    return user


CurrentUser = Annotated[User, Depends(get_current_user)]
