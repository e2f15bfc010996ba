"""Every environment variable, typed and checked once."""

import os
import secrets
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError

from .database.backend import DatabaseSettings
from .errors import Problem

JWT_SECRET_BYTES = 32  # RFC 7518, section 3.2: an HS256 key is at least as long as its hash
JWT_SECRET_LETTERS = 10
EXAMPLES = ("change", "example", "secret", "password", "placeholder", "your-")


class Settings(DatabaseSettings):
    """What the environment says."""

    host: str = Field("127.0.0.1", description="The address to listen on.")
    port: int = Field(8000, ge=1, le=65535, description="The port to listen on.")

    auto_migrate: bool = Field(True, description="Migrate when the service starts.")
    migration_lock_timeout: float = Field(
        60, ge=0, description="Seconds to wait for another process that migrates."
    )
    migration_table_lock_timeout: float = Field(
        5, gt=0, description="Seconds a migration may wait for a table, and the site behind it."
    )
    migration_table_lock_retries: int = Field(
        5, ge=0, description="How often to try again when a table stayed locked."
    )

    jwt_secret: SecretStr | None = Field(
        None,
        description="Signs the tokens; 32 random bytes or more. Production requires it. "
        'Make one: python -c "import secrets; print(secrets.token_urlsafe(48))"',
    )

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="DEBUG, INFO, WARNING or ERROR."
    )
    log_format: Literal["console", "json"] | None = Field(
        None, description="console or json. Default: json in production, console elsewhere."
    )

    @cached_property
    def signing_key(self) -> SecretStr:
        """JWT_SECRET or, outside production, a random one that ends with the process."""
        return self.jwt_secret or SecretStr(secrets.token_urlsafe(48))

    def problems(self, *, serving: bool = True) -> list[Problem]:
        """What would be unsafe in production.

        Args:
            serving: whether requests will be answered; migrating alone signs no tokens.
        """
        found = [self.database_problem()]
        if serving:
            found.append(_jwt_secret_problem(self.jwt_secret))
        return [problem for problem in found if problem is not None]


def load_settings(*, serving: bool = True) -> Settings:
    """Read the environment and, in development, the file ``.env``.

    Raises:
        Problem: a variable has a value that it cannot have, or is unsafe in production.
    """
    in_development = os.environ.get("ENVIRONMENT", "development") == "development"
    try:
        settings = Settings(_env_file=Path(".env") if in_development else None)
    except ValidationError as error:
        raise _invalid(error) from None
    if settings.in_production and (problems := settings.problems(serving=serving)):
        raise _all(problems)
    return settings


def _invalid(error: ValidationError) -> Problem:
    # The values stay out of the message: one of them may be a password.
    faults = [
        f"{'_'.join(map(str, fault['loc'])).upper() or 'Settings'}: {fault['msg']}"
        for fault in error.errors(include_input=False, include_url=False)
    ]
    return Problem(
        "; ".join(faults),
        "The service does not start with settings it cannot understand.",
        "Correct them in the environment or in .env; .env.example describes each.",
    )


def _all(problems: list[Problem]) -> Problem:
    if len(problems) == 1:
        return problems[0]
    return Problem(
        " ".join(problem.problem for problem in problems),
        " ".join(problem.impact for problem in problems),
        " ".join(problem.solution for problem in problems),
    )


def _jwt_secret_problem(secret: SecretStr | None) -> Problem | None:
    value = secret.get_secret_value() if secret else ""
    if not value:
        fault = "JWT_SECRET is not set."
    elif len(value.encode()) < JWT_SECRET_BYTES or len(set(value)) < JWT_SECRET_LETTERS:
        fault = "JWT_SECRET is too easy to guess."
    elif any(word in value.lower() for word in EXAMPLES):
        fault = "JWT_SECRET looks like an example."
    else:
        return None
    return Problem(
        fault,
        "Whoever guesses it can sign in as anyone.",
        'Set it to the output of: python -c "import secrets; print(secrets.token_urlsafe(48))"',
    )
