"""Accounts over HTTP."""

from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Depends, Request
from fastapi.security import OAuth2PasswordRequestForm
from pydantic_core import PydanticCustomError

from ..web.problem_details import responses
from ..web.rate_limits import limit
from .dependencies import CurrentUser
from .fields import normal_email
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

router = APIRouter(prefix="/auth", tags=["auth"], responses=responses(422, 429))


@router.post("/register", status_code=201)
def register(
    new: Registration, request: Request, accounts: AccountsDep, background: BackgroundTasks
) -> Message:
    """Open an account. The answer is the same whether or not the address has one already."""
    limit(request, "register", new.email)
    background.add_task(accounts.send, accounts.register(new))
    return Message(message=f"Follow the link in the mail to {new.email}.")


@router.post("/verify-email", responses=responses(400))
def verify_email(given: Verification, request: Request, accounts: AccountsDep) -> Message:
    """Confirm an address with the token that was mailed to it."""
    limit(request, "verify-email")
    accounts.verify_email(given.token)
    return Message(message="Your address is confirmed. You can sign in.")


@router.post("/request-verification", status_code=202)
def request_verification(
    given: EmailAddress, request: Request, accounts: AccountsDep, background: BackgroundTasks
) -> Message:
    """Ask for a new link to confirm an address, if it waits for one."""
    limit(request, "request-verification", given.email)
    background.add_task(accounts.send_verification, given.email)
    return Message(message=f"If {given.email} waits to be confirmed, a new link is on its way.")


@router.post("/login", responses=responses(401))
def login(given: Credentials, request: Request, accounts: AccountsDep) -> AccessToken:
    """Sign in. The answer does not tell a wrong password from an unknown or closed account."""
    limit(request, "login", given.email)
    return accounts.authenticate(given.email, given.password)


@router.post("/token", responses=responses(401))
def token(
    form: Annotated[OAuth2PasswordRequestForm, Depends()], request: Request, accounts: AccountsDep
) -> AccessToken:
    """Sign in by OAuth2's password form; Swagger's Authorize button does. username is the email."""
    try:
        email = normal_email(form.username)
    except PydanticCustomError:
        email = None
    limit(request, "login", email)
    return accounts.authenticate(email, form.password[:1024])


@router.post("/request-password-reset", status_code=202)
def request_password_reset(
    given: EmailAddress, request: Request, accounts: AccountsDep, background: BackgroundTasks
) -> Message:
    """Ask for a link to choose a new password, if the address has an account."""
    limit(request, "request-password-reset", given.email)
    background.add_task(accounts.send_password_reset, given.email)
    return Message(message=f"If {given.email} has an account, a link is on its way.")


@router.post("/reset-password", responses=responses(400))
def reset_password(given: PasswordReset, request: Request, accounts: AccountsDep) -> Message:
    """Choose a new password with the token that was mailed. Every access token ends."""
    limit(request, "reset-password")
    accounts.reset_password(given)
    return Message(message="Your password is changed. You can sign in with it.")


@router.post("/change-password", responses=responses(401, 403))
def change_password(
    change: PasswordChange, user: CurrentUser, request: Request, accounts: AccountsDep
) -> AccessToken:
    """Change your password. Every access token ends; the answer is a new one."""
    limit(request, "change-password", user.email)
    return accounts.change_password(user, change)
