"""Routes of accounts."""

from collections.abc import Callable
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, BackgroundTasks, Depends
from fastapi.security import OAuth2PasswordRequestForm
from pydantic_core import PydanticCustomError
from sqlalchemy.exc import SQLAlchemyError

from ..database.backend import is_away
from ..errors import HttpError
from ..web.dependencies import LanesDep, SessionDep
from ..web.lanes import Lanes
from ..web.problem_details import responses
from .attempts import AttemptCounterDep
from .dependencies import ClaimsDep
from .fields import MAX_PASSWORD_LENGTH, normal_email
from .schemas import (
    AccessToken,
    Credentials,
    EmailAddress,
    Message,
    PasswordChange,
    PasswordReset,
    Registration,
    Verification,
)
from .service import AccountsDep
from .tokens import digest, end

log = structlog.stdlib.get_logger(__name__)

router = APIRouter(prefix="/auth", tags=["auth"], responses=responses(422, 429, 503))


@router.post("/register", status_code=201)
async def register(
    new: Registration,
    attempts: AttemptCounterDep,
    accounts: AccountsDep,
    lanes: LanesDep,
    background: BackgroundTasks,
) -> Message:
    """Open an account. If the address already has an account, the answer is the same."""
    await attempts.count("register")
    mail = await lanes.hashing.run(accounts.register, new)
    background.add_task(_mail, lanes, accounts.send, mail)
    return Message(message=f"Follow the link in the mail to {new.email}.")


@router.post("/verify-email", responses=responses(400))
async def verify_email(
    given: Verification,
    attempts: AttemptCounterDep,
    accounts: AccountsDep,
    lanes: LanesDep,
    background: BackgroundTasks,
) -> Message:
    """Confirm an address with the mailed token and, if possible, the chosen password.

    The password proves that the person who follows the link is the one who registered. Without
    it, the stored password is deleted, and a link to choose another is mailed. If you do not know
    the password, use /auth/request-password-reset, which confirms the address as well.
    """
    await attempts.count("verify-email")
    await attempts.count_password("link", digest(given.token))
    mail = await lanes.hashing.run(accounts.verify_email, given)
    if mail is None:
        return Message(message="Your address is confirmed. You can sign in.")
    background.add_task(_mail, lanes, accounts.send, mail)
    return Message(message=f"{mail.to} is confirmed. Follow the link in the mail to it.")


@router.post("/request-verification", status_code=202)
async def request_verification(
    given: EmailAddress,
    attempts: AttemptCounterDep,
    accounts: AccountsDep,
    lanes: LanesDep,
    background: BackgroundTasks,
) -> Message:
    """Ask for a new link to confirm an address that is not confirmed yet."""
    await attempts.count("request-verification")
    background.add_task(_mail, lanes, accounts.send_verification, given.email)
    return Message(message=f"If {given.email} is not confirmed yet, a new link is on its way.")


@router.post("/login", responses=responses(401))
async def login(
    given: Credentials, attempts: AttemptCounterDep, accounts: AccountsDep, lanes: LanesDep
) -> AccessToken:
    """Sign in. The answer does not tell a wrong password from an unknown or closed account."""
    await attempts.count("login")
    await attempts.count_password(given.email)
    access = await lanes.hashing.run(accounts.authenticate, given.email, given.password)
    await attempts.password_was_right(given.email)
    return access


@router.post("/token", responses=responses(401))
async def token(
    form: Annotated[OAuth2PasswordRequestForm, Depends()],
    attempts: AttemptCounterDep,
    accounts: AccountsDep,
    lanes: LanesDep,
) -> AccessToken:
    """Sign in by OAuth2's password form, as Swagger's Authorize does. username is the email."""
    try:
        given = Credentials(
            email=normal_email(form.username), password=form.password[:MAX_PASSWORD_LENGTH]
        )
    except (PydanticCustomError, ValueError):
        given = Credentials.model_construct(email="", password="")
    return await login(given, attempts, accounts, lanes)


@router.post("/logout", status_code=204, responses=responses(401))
def logout(claims: ClaimsDep, session: SessionDep) -> None:
    """Revoke the request's access token for good. Other tokens stay valid."""
    end(session, claims)
    session.commit()


@router.post("/request-password-reset", status_code=202)
async def request_password_reset(
    given: EmailAddress,
    attempts: AttemptCounterDep,
    accounts: AccountsDep,
    lanes: LanesDep,
    background: BackgroundTasks,
) -> Message:
    """Ask for a link to choose a new password, if the address has an account."""
    await attempts.count("request-password-reset")
    background.add_task(_mail, lanes, accounts.send_password_reset, given.email)
    return Message(message=f"If {given.email} has an account, a link is on its way.")


@router.post("/reset-password", responses=responses(400))
async def reset_password(
    given: PasswordReset, attempts: AttemptCounterDep, accounts: AccountsDep, lanes: LanesDep
) -> Message:
    """Choose a new password with the mailed token. Every other token is revoked."""
    await attempts.count("reset-password")
    email = await lanes.hashing.run(accounts.reset_password, given)
    await attempts.password_was_right(email)
    return Message(message="Your password is changed. You can sign in with it.")


@router.post("/change-password", responses=responses(401, 403))
async def change_password(
    change: PasswordChange,
    claims: ClaimsDep,
    attempts: AttemptCounterDep,
    accounts: AccountsDep,
    lanes: LanesDep,
) -> AccessToken:
    """Change your password. Every token is revoked; the answer has a new one."""
    await attempts.count("change-password")
    await attempts.count_password("change", str(claims.user_id))
    access = await lanes.hashing.run(accounts.change_password, claims, change)
    await attempts.password_was_right("change", str(claims.user_id))
    return access


async def _mail(lanes: Lanes, send: Callable[..., None], *arguments: Any) -> None:
    # The answer is already sent, so a failure goes only to the log.
    try:
        await lanes.mail.run(send, *arguments)
    except HttpError as error:
        log.warning("No mail was sent", code=error.code)
    except SQLAlchemyError as error:
        if not is_away(error):
            raise
        log.error("No mail was sent: the database does not answer")
