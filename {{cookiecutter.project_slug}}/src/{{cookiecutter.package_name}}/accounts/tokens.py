"""Tokens: signed tokens, each with a row, and random tokens, of which the digest is stored."""

import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import urlencode
from uuid import UUID, uuid4

import jwt
from sqlalchemy import bindparam, delete, select
from sqlalchemy.orm import Session

from ..database.types import utc_now
from ..settings import Settings
from .models import Token, User

ALGORITHM = "HS256"
CLAIMS = ["aud", "exp", "iat", "iss", "jti", "pwd", "sub"]

# No session ever holds an object of these rows.
UNWATCHED = {"synchronize_session": False}

Purpose = Literal["access", "password-reset"]


@dataclass(frozen=True)
class Claims:
    """The content of a token: its own id, the user's id, and the password's fingerprint."""

    id: UUID
    user_id: UUID
    password: str


@dataclass(frozen=True)
class Tokens:
    """Issues and reads signed tokens, each for one purpose.

    A token is valid as long as its row exists. The row is deleted when the user signs out, the
    account is closed or the password changes, and it never comes back. A token also contains the
    password's fingerprint, so that a password that was changed by other means invalidates it too.
    """

    settings: Settings
    binding: Mapping[str, str]

    def lifetime(self, purpose: Purpose) -> timedelta:
        """The lifetime of a token for this purpose."""
        minutes = {
            "access": self.settings.access_token_minutes,
            "password-reset": self.settings.password_reset_minutes,
        }
        return timedelta(minutes=minutes[purpose])

    def issue(self, session: Session, user: User, purpose: Purpose) -> str:
        """A token for this user and purpose. It is valid when the session is committed."""
        now, token_id = utc_now(), uuid4()
        expires_at = now + self.lifetime(purpose)
        gone = (Token.user_id == user.id, Token.expires_at < now)
        session.execute(delete(Token).where(*gone), execution_options=UNWATCHED)
        session.add(Token(id=token_id, user_id=user.id, expires_at=expires_at))
        claims = {
            "iss": self.settings.jwt_issuer,
            "sub": str(user.id),
            "aud": purpose,
            "iat": now,
            "exp": expires_at,
            "jti": token_id.hex,
            "pwd": fingerprint(user),
            **self.binding,
        }
        return jwt.encode(claims, self._key, ALGORITHM)

    def read(self, token: str, purpose: Purpose) -> Claims | None:
        """The content of a token, if it is from this service, for this purpose and not expired.

        :func:`find_holder` checks that it was not revoked.
        """
        settings, required = self.settings, (*CLAIMS, *self.binding)
        try:
            claims = _decode(token, self._key, purpose, settings.jwt_issuer, required)
            bound = all(claims[name] == value for name, value in self.binding.items())
            if not bound or claims["exp"] <= time.time():
                return None
            return Claims(UUID(claims["jti"]), UUID(claims["sub"]), str(claims["pwd"]))
        except (jwt.InvalidTokenError, ValueError):
            return None

    def fragment(self, token: str) -> str:
        """The part of a mailed link after #: the token, and the values that the page must send."""
        return urlencode({"token": token, **self.binding})

    @property
    def _key(self) -> str:
        return self.settings.signing_key.get_secret_value()


@lru_cache(maxsize=10_000)
def _decode(
    token: str, key: str, purpose: Purpose, issuer: str, required: tuple[str, ...]
) -> dict[str, Any]:
    # A client sends the same token with each request, so its signature is checked only once. Only
    # valid tokens are cached; the caller checks the expiry.
    claims: dict[str, Any] = jwt.decode(
        token,
        key,
        algorithms=[ALGORITHM],
        audience=purpose,
        issuer=issuer,
        options={"require": list(required)},
    )
    return claims


# Every signed-in request runs this query, so it is built once.
_HOLDER = (
    select(User)
    .join(Token, Token.user_id == User.id)
    .where(Token.id == bindparam("token"), User.id == bindparam("holder"), User.is_active)
)


def find_holder(session: Session, claims: Claims) -> User | None:
    """The token's user, if it is not revoked, the account is active and the password unchanged."""
    user = session.scalar(_HOLDER, {"token": claims.id, "holder": claims.user_id})
    return user if user is not None and fingerprint(user) == claims.password else None


def end(session: Session, claims: Claims) -> None:
    """Revoke one token. It is final when the session is committed."""
    session.execute(delete(Token).where(Token.id == claims.id), execution_options=UNWATCHED)


def end_all(session: Session, user_id: UUID) -> None:
    """Revoke every token of a user. It is final when the session is committed."""
    session.execute(delete(Token).where(Token.user_id == user_id), execution_options=UNWATCHED)


def fingerprint(user: User) -> str:
    """Changes when the password changes, and reveals nothing about it."""
    return digest(user.password_hash)[:16]


def digest(token: str) -> str:
    """The stored form of a random token."""
    return hashlib.sha256(token.encode()).hexdigest()


def random_token() -> str:
    """A token that nobody can guess: 256 bits."""
    return secrets.token_urlsafe(32)
