"""Tokens, passwords and rate limits."""

from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from ..errors import ActionableError
from . import errors
from .base import SERVICE, BasePart, fault_of_secret, kept_secret, random_secret
from .errors import MAKE_A_SECRET

KEPT_SECRET = Path("data/jwt_secret")


def _rates(value: str) -> str:
    from limits import parse_many  # Slow to import, so the defaults are not validated.

    parse_many(value)
    return value


Rates = Annotated[str, AfterValidator(_rates), Field(validate_default=False)]


class AccountSettings(BasePart):
    """Settings of sign-in."""

    jwt_secret: SecretStr | None = Field(
        None,
        description="Key that signs the tokens, 32 random bytes or more. Production requires it. "
        f"Make one: {MAKE_A_SECRET}",
    )
    jwt_issuer: str = Field(SERVICE, description="`iss` of tokens issued and accepted.")
    access_token_minutes: int = Field(60, ge=1, description="Access token lifetime, minutes.")
    verification_hours: int = Field(
        24, ge=1, description="Lifetime of a mailed link that confirms an address, hours."
    )
    password_reset_minutes: int = Field(
        30, ge=1, description="Lifetime of a mailed link that resets a password, minutes."
    )
    bcrypt_cost: int = Field(
        12, ge=4, le=20, description="bcrypt cost; each step doubles hashing time."
    )
    max_waiting_sign_ins: int = Field(
        100,
        ge=0,
        description="Maximum number of requests that wait for password hashing; more get 503.",
    )
    rate_limit_per_address: Rates = Field(
        "30/minute",
        description="Limit of attempts to sign in, register and so on, from one client address.",
    )
    rate_limit_per_account: Rates = Field(
        "10/minute; 50/hour",
        description="Limit of wrong passwords for one account, from all client addresses where "
        "nobody has signed in to it.",
    )
    wrong_passwords_before_delay: int = Field(
        5,
        ge=0,
        description="Number of wrong passwords for one account from one client address without a "
        "delay. Further attempts must wait 1 second, then 2, 4 and so on up to 15 minutes.",
    )
    rate_limit_mails: Rates = Field(
        "3/hour; 10/day",
        description="Limit of mails of one kind to one address; more are not sent.",
    )
    rate_limit_storage_url: SecretStr | None = Field(
        None,
        description="Redis that counts attempts for all processes: redis://localhost:6379. "
        "If it is empty or unreachable, each process counts separately.",
    )

    @cached_property
    def signing_key(self) -> SecretStr:
        """JWT_SECRET or, in development, a key stored in ``data/``: a restart signs nobody out.

        In tests the key is lost when the process ends.
        """
        if self.jwt_secret is not None:
            return self.jwt_secret
        return kept_secret(KEPT_SECRET) if self.environment == "development" else random_secret()

    def problems(self, *, serving: bool = True) -> list[ActionableError]:
        """Adds: a missing or weak JWT_SECRET."""
        found = super().problems(serving=serving)
        if serving and (fault := fault_of_secret(self.jwt_secret)):
            found.append(errors.jwt_secret_unsafe(fault))
        return found
