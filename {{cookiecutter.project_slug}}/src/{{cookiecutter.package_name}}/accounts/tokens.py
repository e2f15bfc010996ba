"""Tokens: signed ones that the service need not store, and random ones whose digest it does."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal
from urllib.parse import urlencode
from uuid import UUID, uuid4

import jwt

from ..database.types import utc_now
from ..settings import Settings
from .models import User

ALGORITHM = "HS256"
CLAIMS = ["aud", "exp", "iat", "iss", "jti", "pwd", "sub"]

Purpose = Literal["access", "password-reset"]


@dataclass(frozen=True)
class Tokens:
    """Issues and reads signed tokens, for one purpose each.

    A token names the password it was issued under. Changing the password ends it, so a token to
    reset the password works once and needs no column.
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

    def issue(self, user: User, purpose: Purpose) -> str:
        """A token for this user and purpose."""
        now = utc_now()
        claims = {
            "iss": self.settings.jwt_issuer,
            "sub": str(user.id),
            "aud": purpose,
            "iat": now,
            "exp": now + self.lifetime(purpose),
            "jti": uuid4().hex,
            "pwd": fingerprint(user),
            **self.binding,
        }
        return jwt.encode(claims, self._key, ALGORITHM)

    def read(self, token: str, purpose: Purpose) -> tuple[UUID, str]:
        """The user's id, and the fingerprint of the password at the time.

        Raises:
            jwt.InvalidTokenError: it is not this service's, for something else, or too old.
        """
        claims: dict[str, Any] = jwt.decode(
            token,
            self._key,
            algorithms=[ALGORITHM],
            audience=purpose,
            issuer=self.settings.jwt_issuer,
            options={"require": [*CLAIMS, *self.binding]},
        )
        if any(claims[name] != value for name, value in self.binding.items()):
            raise jwt.InvalidTokenError("bound to something else")
        try:
            return UUID(claims["sub"]), str(claims["pwd"])
        except ValueError as error:
            raise jwt.InvalidTokenError("names no user") from error

    def fragment(self, token: str) -> str:
        """What a mailed link says behind #: the token, and what the page's request must name."""
        return urlencode({"token": token, **self.binding})

    @property
    def _key(self) -> str:
        return self.settings.signing_key.get_secret_value()


def fingerprint(user: User) -> str:
    """Tells one kept password from another and nothing about either."""
    return digest(user.password_hash)[:16]


def digest(token: str) -> str:
    """What is stored of a random token."""
    return hashlib.sha256(token.encode()).hexdigest()


def random_token() -> str:
    """A token that nobody guesses: 256 bits."""
    return secrets.token_urlsafe(32)
