"""Dependencies of routes that need the current user."""

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
    """The claims of the request's token. A forged token is refused here.

    Raises:
        HttpError: 401, if there is no token, or it is not valid.
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
    """The user of the request's token, read from the database for each request.

    Asynchronous, so that the user is in every log line of the request.

    Raises:
        HttpError: 401, if the token is not valid any more.
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
    session.commit()  # returns the connection, because the next step may wait
    return user


CurrentUser = Annotated[User, Depends(get_current_user)]
