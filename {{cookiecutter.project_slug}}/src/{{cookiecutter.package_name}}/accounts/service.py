"""The logic of accounts. Neither an answer nor its time reveals who has an account."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any
from uuid import uuid4

from fastapi import Depends, Request
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from ..database.backend import insert
from ..database.types import utc_now
from ..errors import HttpError
from ..mail import Mail, Mailer, deliver
from ..settings import Settings
from ..web.client import network_of
from ..web.rate_limits import RateLimiter
from ..web.request_database import RequestDatabase, RequestDatabaseDep
from . import errors, messages
from .models import User
from .passwords import Passwords
from .schemas import AccessToken, PasswordChange, PasswordReset, Registration, Verification
from .tokens import Claims, Tokens, digest, end_all, find_holder, random_token

CONFIRMED: dict[str, Any] = {
    "email_verified": True,
    "verification_token": None,
    "verification_token_expires_at": None,
}
NO_PASSWORD = "!"  # no password has this hash


@dataclass(frozen=True)
class Accounts:
    """The accounts that one request works on. Its methods are slow: they hash or mail.

    Sessions are short. None is open while a password is hashed or a mail is sent, since that would
    block a connection and its locks for others.
    """

    database: RequestDatabase
    settings: Settings
    mailer: Mailer
    tokens: Tokens
    passwords: Passwords
    limiter: RateLimiter
    network: str

    def register(self, new: Registration) -> Mail:
        """Store the account, unless the address has one. In both cases there is a mail to send.

        Raises:
            HttpError: 422, the password is too easy to guess.
        """
        self.passwords.check(new.password, new.email)
        password_hash = self.passwords.hash(new.password)
        token, user_id = random_token(), uuid4()
        # One statement that always writes: there is no race, and it takes the same time if the
        # address exists.
        statement = insert(User).values(
            id=user_id,
            email=new.email,
            name=new.name,
            password_hash=password_hash,
            **self._awaiting(token),
        )
        statement = statement.on_conflict_do_update(
            index_elements=[User.email], set_={"email": statement.excluded.email}
        )
        with self.database.open() as session:
            user = session.scalars(statement.returning(User)).one()
            reset = self.tokens.issue(session, user, "password-reset")
            session.commit()
        if user.id == user_id:
            return messages.verification(self.settings, user.email, self.tokens.fragment(token))
        if not user.is_active:
            return messages.closed(self.settings, user.email)
        return messages.already_registered(self.settings, user.email, self.tokens.fragment(reset))

    def verify_email(self, given: Verification) -> Mail | None:
        """Confirm the address that this token was mailed to. It works once.

        The person who follows the link may not be the person who registered. The password proves
        that they are the same. A request without a password deletes the stored one, since a
        stranger may have chosen it.

        Returns:
            A mail to send, if there is a password to choose now.

        Raises:
            HttpError: 400, the token is unknown, expired or used, or the password is wrong.
        """
        awaited = (
            User.verification_token == digest(given.token),
            User.verification_token_expires_at > utc_now(),
        )
        unproved = {"password_hash": NO_PASSWORD} if given.password is None else {}
        user = self._recognise(given.password, *awaited)
        with self.database.open() as session:
            changed = _change(session, user, *awaited, **CONFIRMED, **unproved) if user else None
            if changed is None:
                raise errors.confirmation_refused()
            mail = None
            if given.password is None:
                reset = self.tokens.issue(session, changed, "password-reset")
                fragment = self.tokens.fragment(reset)
                mail = messages.first_password(self.settings, changed.email, fragment)
            session.commit()
        return mail

    def authenticate(self, email: str | None, password: str) -> AccessToken:
        """A token for a user who knows the password of an active account with a confirmed address.

        Raises:
            HttpError: 401, whatever the reason.
        """
        # Unconfirmed accounts get the same answer; otherwise registering and signing in would
        # reveal if an address was free.
        user = self._recognise(password, User.email == email)
        if user is None or not user.is_active or not user.email_verified:
            raise errors.credentials_refused()
        values: dict[str, Any] = {"last_login_at": utc_now()}
        if self.passwords.outdated(user.password_hash):
            values["password_hash"] = self.passwords.hash(password)
        with self.database.open() as session:
            changed = _change(session, user, **values)
            if changed is None:
                raise errors.credentials_refused()
            token = self._issue(session, changed)
            session.commit()
        return token

    def change_password(self, claims: Claims, change: PasswordChange) -> AccessToken:
        """Replace the password. Every token is revoked; the answer has a new one.

        Raises:
            HttpError: 403, the current password is wrong.
            HttpError: 422, the new one is too easy to guess.
            HttpError: 401, the account was closed meanwhile, or its password changed.
        """
        user = self._holder(claims)
        if user is None:
            raise errors.not_signed_in()
        if not self.passwords.verify(change.current_password, user.password_hash):
            raise errors.current_password_wrong()
        password_hash = self._new_hash(user, change.password)
        with self.database.open() as session:
            changed = _change(session, user, password_hash=password_hash)
            if changed is None:
                raise errors.not_signed_in()
            end_all(session, user.id)
            token = self._issue(session, changed)
            session.commit()
        return token

    def reset_password(self, reset: PasswordReset) -> str:
        """Replace a forgotten password. This also confirms the address.

        Returns:
            The address of the account.

        Raises:
            HttpError: 400, the token is expired or used.
            HttpError: 422, the password is too easy to guess.
        """
        refused = errors.link_not_valid("/auth/request-password-reset")
        claims = self.tokens.read(reset.token, "password-reset")
        user = self._holder(claims) if claims else None
        if user is None:
            raise refused
        password_hash = self._new_hash(user, reset.password)
        with self.database.open() as session:
            if _change(session, user, password_hash=password_hash, **CONFIRMED) is None:
                raise refused
            end_all(session, user.id)
            session.commit()
        return user.email

    # The methods below run in the background, after the answer. So the answer's time is the same
    # for every address.

    def send(self, mail: Mail) -> None:
        """Send a mail, unless its recipient got too many of this kind; a failure is logged."""
        account = (*self.tokens.binding.values(), mail.to)
        if self.limiter.may_mail(mail.subject, self.network, account):
            deliver(self.mailer, mail)

    def send_verification(self, email: str) -> None:
        """Send a new link to confirm an address. The previous link becomes invalid."""
        token = random_token()
        with self.database.open() as session:
            waits = (User.email == email, User.email_verified.is_(False), User.is_active)
            statement = update(User).where(*waits).values(**self._awaiting(token))
            known = session.scalar(statement.returning(User.email))
            session.commit()
        if known:
            self.send(messages.verification(self.settings, known, self.tokens.fragment(token)))

    def send_password_reset(self, email: str) -> None:
        """Send a link to choose a new password."""
        # The lock: an account that is deactivated at this moment gets no token afterwards.
        which = select(User).where(User.email == email, User.is_active).with_for_update()
        with self.database.open() as session:
            user = session.scalar(which)
            token = self.tokens.issue(session, user, "password-reset") if user else ""
            session.commit()
        if user:
            fragment = self.tokens.fragment(token)
            self.send(messages.password_reset(self.settings, user.email, fragment))

    def _recognise(self, password: str | None, *which: Any) -> User | None:
        # With None, no password is asked for. It takes the same time then, and if the user or even
        # the tenant does not exist: such requests cost as much as a sign-in.
        try:
            with self.database.open() as session:
                user = session.scalar(select(User).where(*which))
                session.commit()
        except HttpError:
            self.passwords.verify(password or "", None)
            raise
        right = self.passwords.verify(password or "", user.password_hash if user else None)
        return user if right or password is None else None

    def _holder(self, claims: Claims) -> User | None:
        with self.database.open() as session:
            user = find_holder(session, claims)
            session.commit()
        return user

    def _new_hash(self, user: User, password: str) -> str:
        self.passwords.check(password, user.email)
        return self.passwords.hash(password)

    def _issue(self, session: Session, user: User) -> AccessToken:
        seconds = int(self.tokens.lifetime("access").total_seconds())
        token = self.tokens.issue(session, user, "access")
        return AccessToken(access_token=token, expires_in=seconds)

    def _awaiting(self, token: str) -> dict[str, Any]:
        expires = utc_now() + timedelta(hours=self.settings.verification_hours)
        return {"verification_token": digest(token), "verification_token_expires_at": expires}


def _change(session: Session, user: User, *known: Any, **values: Any) -> User | None:
    # It changes nothing if the account was closed or its password changed since it was read.
    same = (User.id == user.id, User.password_hash == user.password_hash, User.is_active)
    statement = update(User).where(*same, *known).values(**values).returning(User)
    return session.scalar(statement)


async def get_accounts(request: Request, database: RequestDatabaseDep) -> Accounts:
    """The accounts of this request."""
    state = request.app.state
    return Accounts(
        database,
        state.settings,
        state.mailer,
        Tokens(state.settings, database.binding),
        Passwords(state.settings.bcrypt_cost),
        state.limiter,
        network_of(request.scope),
    )


AccountsDep = Annotated[Accounts, Depends(get_accounts)]
