"""Who asks: for routes that need to know."""

from typing import Annotated

from fastapi import Security
from fastapi.security import OAuth2PasswordBearer

from . import errors
from .models import User
from .service import AccountsDep

_bearer = OAuth2PasswordBearer(
    "auth/token",
    scheme_name="Account",
    description="Your email address and password.",
    auto_error=False,
)


def get_current_user(
    accounts: AccountsDep, token: Annotated[str | None, Security(_bearer)]
) -> User:
    """The user whose token came with the request, looked up anew each time.

    Raises:
        HttpError: 401, there is no token, or it is not valid.
    """
    user = accounts.user_of(token, "access") if token else None
    if user is None:
        raise errors.not_signed_in()
    return user


CurrentUser = Annotated[User, Security(get_current_user)]
