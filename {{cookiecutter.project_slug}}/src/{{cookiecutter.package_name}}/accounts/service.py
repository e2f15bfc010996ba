"""What accounts do. Answers, and the time they take, tell nobody who has one."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any
from uuid import uuid4

import jwt
from fastapi import Depends, Request
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from ..database.backend import insert
from ..database.types import utc_now
from ..mail import Mail, Mailer, deliver
from ..settings import Settings
from ..web.dependencies import SessionDep, TokenBindingDep
from . import errors, messages
from .models import User
from .passwords import Passwords
from .schemas import AccessToken, PasswordChange, PasswordReset, Registration
from .tokens import Purpose, Tokens, digest, fingerprint, random_token

CONFIRMED = {
    "email_verified": True,
    "verification_token": None,
    "verification_token_expires_at": None,
}
LATEST = {"populate_existing": True}


@dataclass(frozen=True)
class Accounts:
    """The accounts that one request works on.

    No transaction is open while a password is hashed: it would keep others waiting.
    """

    session: Session
    settings: Settings
    mailer: Mailer
    tokens: Tokens
    passwords: Passwords

    def register(self, new: Registration) -> Mail:
        """Keep the account unless the address has one. Either way there is a mail to send.

        Raises:
            HttpError: 422, the password is too easy to guess or too long.
        """
        self.passwords.check(new.password, new.email)
        password_hash = self.passwords.hash(new.password)
        token, user_id = random_token(), uuid4()
        # One statement that writes either way: no race, and as long whether or not the address
        # was there.
        statement = insert(User).values(
            id=user_id,
            email=new.email,
            name=new.name,
            password_hash=password_hash,
            **self._awaiting(token),
        )
        user = self.session.scalars(
            statement.on_conflict_do_update(
                index_elements=[User.email], set_={"email": statement.excluded.email}
            ).returning(User)
        ).one()
        self.session.commit()
        if user.id == user_id:
            return messages.verification(self.settings, user.email, self.tokens.fragment(token))
        reset = self.tokens.issue(user, "password-reset")
        return messages.already_registered(self.settings, user.email, self.tokens.fragment(reset))

    def verify_email(self, token: str) -> None:
        """Confirm the address that this token was mailed to. It works once.

        Raises:
            HttpError: 400, the token is unknown, expired or used.
        """
        statement = (
            update(User)
            .where(User.verification_token == digest(token), User.is_active)
            .where(User.verification_token_expires_at > utc_now())
            .values(**CONFIRMED)
            .returning(User.id)
        )
        user_id = self.session.scalar(statement)
        self.session.commit()
        if user_id is None:
            raise errors.link_not_valid("/auth/request-verification")

    def authenticate(self, email: str | None, password: str) -> AccessToken:
        """A token for whoever knows the password of an active account with a confirmed address.

        Raises:
            HttpError: 401, whatever the reason.
        """
        user = self._find(email)
        if not self.passwords.verify(password, user.password_hash if user else None):
            raise errors.credentials_refused()
        # Unconfirmed ones get the same answer, else registering and signing in would tell whether
        # an address was free.
        if user is None or not (user.is_active and user.email_verified):
            raise errors.credentials_refused()
        values: dict[str, Any] = {"last_login_at": utc_now()}
        if self.passwords.outdated(user.password_hash):
            values["password_hash"] = self.passwords.hash(password)
        changed = self._change(user, **values)
        if changed is None:
            raise errors.credentials_refused()
        return self._issue(changed)

    def change_password(self, user: User, change: PasswordChange) -> AccessToken:
        """Replace the password. Every token ends; the answer is a new one.

        Raises:
            HttpError: 403, the current password is wrong.
            HttpError: 422, the new one is too easy to guess or too long.
            HttpError: 401, the account was closed meanwhile, or its password changed.
        """
        self.session.commit()
        if not self.passwords.verify(change.current_password, user.password_hash):
            raise errors.current_password_wrong()
        changed = self._replace_password(user, change.password)
        if changed is None:
            raise errors.not_signed_in()
        return self._issue(changed)

    def reset_password(self, reset: PasswordReset) -> None:
        """Replace a forgotten password. Whoever has the mail owns the address, too.

        Raises:
            HttpError: 400, the token is expired or used.
            HttpError: 422, the password is too easy to guess or too long.
        """
        user = self.user_of(reset.token, "password-reset")
        self.session.commit()
        if user is None or not self._replace_password(user, reset.password, **CONFIRMED):
            raise errors.link_not_valid("/auth/request-password-reset")

    def user_of(self, token: str, purpose: Purpose) -> User | None:
        """Whose token this is, if it is good: the account active, the password the same."""
        try:
            user_id, password = self.tokens.read(token, purpose)
        except jwt.InvalidTokenError:
            return None
        user = self.session.get(User, user_id)
        if user is None or not user.is_active or fingerprint(user) != password:
            return None
        return user

    # Below: sent in the background, after the answer. So it takes as long for whomever it is.

    def send(self, mail: Mail) -> None:
        """Send a mail; a failure is logged."""
        deliver(self.mailer, mail)

    def send_verification(self, email: str) -> None:
        """A new link to confirm an address. It ends the one before."""
        user, token = self._find(email), random_token()
        if user and not user.email_verified and self._change(user, **self._awaiting(token)):
            fragment = self.tokens.fragment(token)
            self.send(messages.verification(self.settings, user.email, fragment))

    def send_password_reset(self, email: str) -> None:
        """A link to choose a new password."""
        if (user := self._find(email)) and user.is_active:
            token = self.tokens.issue(user, "password-reset")
            fragment = self.tokens.fragment(token)
            self.send(messages.password_reset(self.settings, user.email, fragment))

    def _find(self, email: str | None) -> User | None:
        user = self.session.scalar(select(User).where(User.email == email))
        self.session.commit()
        return user

    def _change(self, user: User, **values: Any) -> User | None:
        # Not if someone closed the account or changed its password since it was read.
        known = (User.id == user.id, User.password_hash == user.password_hash, User.is_active)
        statement = update(User).where(*known).values(**values).returning(User)
        changed = self.session.scalar(statement, execution_options=LATEST)
        self.session.commit()
        return changed

    def _replace_password(self, user: User, password: str, **values: Any) -> User | None:
        self.passwords.check(password, user.email)
        return self._change(user, password_hash=self.passwords.hash(password), **values)

    def _issue(self, user: User) -> AccessToken:
        seconds = int(self.tokens.lifetime("access").total_seconds())
        return AccessToken(access_token=self.tokens.issue(user, "access"), expires_in=seconds)

    def _awaiting(self, token: str) -> dict[str, Any]:
        expires = utc_now() + timedelta(hours=self.settings.verification_hours)
        return {"verification_token": digest(token), "verification_token_expires_at": expires}


def get_accounts(request: Request, session: SessionDep, binding: TokenBindingDep) -> Accounts:
    """The accounts of this request."""
    settings: Settings = request.app.state.settings
    return Accounts(
        session,
        settings,
        request.app.state.mailer,
        Tokens(settings, binding),
        Passwords(settings.bcrypt_cost),
    )


AccountsDep = Annotated[Accounts, Depends(get_accounts)]
