"""Tokens: signed ones that have a row each, and random ones whose digest is stored."""

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

# No object of these rows is ever held in a session.
UNWATCHED = {"synchronize_session": False}

Purpose = Literal["access", "password-reset"]


@dataclass(frozen=True)
class Claims:
    """What a token says: its own id, the user's, and the fingerprint of the password."""

    id: UUID
    user_id: UUID
    password: str


@dataclass(frozen=True)
class Tokens:
    """Issues and reads signed tokens, for one purpose each.

    A token is good as long as its row is there; the row goes when the session ends, the account is
    closed or the password changes, and nothing brings it back. It also names the password it was
    issued under, so that one changed by other means ends it, too.
    """

    settings: Settings
    binding: Mapping[str, str]

    def lifetime(self, purpose: Purpose) -> timedelta:
        """How long a token for this purpose is good."""
        minutes = {
            "access": self.settings.access_token_minutes,
            "password-reset": self.settings.password_reset_minutes,
        }
        return timedelta(minutes=minutes[purpose])

    def issue(self, session: Session, user: User, purpose: Purpose) -> str:
        """A token for this user and purpose. It counts once the session is committed."""
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
        """What a token says, if it is this service's, for this purpose and not too old.

        Whether it was ended meanwhile, :func:`find_holder` sees.
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
        """What a mailed link says behind #: the token, and what the page's request must name."""
        return urlencode({"token": token, **self.binding})

    @property
    def _key(self) -> str:
        return self.settings.signing_key.get_secret_value()


@lru_cache(maxsize=10_000)
def _decode(
    token: str, key: str, purpose: Purpose, issuer: str, required: tuple[str, ...]
) -> dict[str, Any]:
    # A client sends the same token with each request: its signature need be checked but once. Only
    # tokens that were good are kept; when one expires is for the caller to see.
    claims: dict[str, Any] = jwt.decode(
        token,
        key,
        algorithms=[ALGORITHM],
        audience=purpose,
        issuer=issuer,
        options={"require": list(required)},
    )
    return claims


# Every request that is signed in asks this: it is put together once.
_HOLDER = (
    select(User)
    .join(Token, Token.user_id == User.id)
    .where(Token.id == bindparam("token"), User.id == bindparam("holder"), User.is_active)
)


def find_holder(session: Session, claims: Claims) -> User | None:
    """Whose token this is, if it was not ended, the account is active and the password the same."""
    user = session.scalar(_HOLDER, {"token": claims.id, "holder": claims.user_id})
    return user if user is not None and fingerprint(user) == claims.password else None


def end(session: Session, claims: Claims) -> None:
    """End one token, for good once the session is committed."""
    session.execute(delete(Token).where(Token.id == claims.id), execution_options=UNWATCHED)


def end_all(session: Session, user_id: UUID) -> None:
    """End every token of a user, for good once the session is committed."""
    session.execute(delete(Token).where(Token.user_id == user_id), execution_options=UNWATCHED)


def fingerprint(user: User) -> str:
    """Tells one kept password from another and nothing about either."""
    return digest(user.password_hash)[:16]


def digest(token: str) -> str:
    """What is stored of a random token."""
    return hashlib.sha256(token.encode()).hexdigest()


def random_token() -> str:
    """A token that nobody guesses: 256 bits."""
    return secrets.token_urlsafe(32)
