"""Every environment variable, typed and checked once."""

import os
import secrets
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import NoDecode

from .database.backend import DatabaseSettings
from .errors import Problem

SECRET_BYTES = 32  # RFC 7518, section 3.2: an HS256 key is at least as long as its hash
SECRET_LETTERS = 10
EXAMPLES = ("change", "example", "secret", "password", "placeholder", "your-")
SERVICE = "{{ cookiecutter.project_slug }}"
LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _rates(value: str) -> str:
    from limits import parse_many  # slow to import, so the defaults are taken as they are

    parse_many(value)
    return value


CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Rates = Annotated[str, AfterValidator(_rates), Field(validate_default=False)]


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

    jwt_issuer: str = Field(SERVICE, description="Who issues the tokens, and whose are taken.")
    access_token_minutes: int = Field(60, ge=1, description="How long a sign-in is good.")
    verification_hours: int = Field(24, ge=1, description="How long a mailed confirmation is good.")
    password_reset_minutes: int = Field(30, ge=1, description="How long a mailed reset is good.")
    bcrypt_cost: int = Field(
        12, ge=4, le=20, description="Each step doubles the work of guessing passwords, and yours."
    )
    admin_key: SecretStr | None = Field(
        None,
        description="Administrators send it as X-Admin-Key. Nobody is one while it is empty.",
    )

    frontend_url: str = Field(
        "http://127.0.0.1:8000",
        description="Where mailed links lead: its pages verify-email#token=... and "
        "reset-password#token=... send the token to /auth. Production requires https.",
    )
    smtp_host: str | None = Field(
        None, description="Sends mail. Production requires it; elsewhere the log shows the links."
    )
    smtp_port: int = Field(587, ge=1, le=65535, description="Its port.")
    smtp_user: str | None = Field(None, description="The user, if it asks for one.")
    smtp_password: SecretStr = Field(SecretStr(""), description="The user's password.")
    smtp_tls: Literal["starttls", "implicit", "none"] = Field(
        "starttls", description="starttls, implicit (port 465) or none."
    )
    mail_from: str = Field(f"{SERVICE}@localhost", description="The sender.")

    allowed_hosts: CommaSeparated = Field(
        (),
        description="Host names to answer to, by commas: api.example.com, *.example.com or *. "
        "Default: only this machine's own in production, any elsewhere.",
    )
    cors_origins: CommaSeparated = Field(
        (), description="Web pages of other origins that may call: https://app.example.com"
    )
    trusted_proxies: CommaSeparated = Field(
        (), description="Addresses or networks whose X-Forwarded-For is believed: 10.0.0.0/8"
    )
    max_body_bytes: int = Field(1_048_576, ge=1, description="The largest request.")
    docs_enabled: bool | None = Field(
        None, description="Serve /docs and /openapi.json. Default: not in production."
    )
    rate_limit_per_address: Rates = Field(
        "30/minute", description="Attempts to sign in, register, ... from one address."
    )
    rate_limit_per_account: Rates = Field(
        "10/minute; 50/hour", description="The same for one account, from anywhere."
    )
    rate_limit_storage_url: SecretStr | None = Field(
        None,
        description="Where attempts are counted for all processes: redis://localhost:6379. "
        "Each process counts its own when this is empty.",
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

    @property
    def frontend(self) -> str:
        """FRONTEND_URL, ready for a path."""
        return self.frontend_url.rstrip("/")

    @property
    def hosts(self) -> tuple[str, ...]:
        """ALLOWED_HOSTS or its default."""
        return self.allowed_hosts or (LOCAL_HOSTS if self.in_production else ("*",))

    @property
    def serves_docs(self) -> bool:
        """DOCS_ENABLED or its default."""
        return not self.in_production if self.docs_enabled is None else self.docs_enabled

    def problems(self, *, serving: bool = True) -> list[Problem]:
        """What would be unsafe in production.

        Args:
            serving: whether requests will be answered; migrating alone signs no tokens.
        """
        found = [self.database_problem()]
        if serving:
            found += [
                _jwt_secret_problem(self.jwt_secret),
                _admin_key_problem(self.admin_key, required=self.needs_admin_key),
                _mail_problem(self),
                _cors_problem(self.cors_origins),
            ]
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
        "\n".join(problem.problem for problem in problems),
        "\n".join(problem.impact for problem in problems),
        "\n".join(problem.solution for problem in problems),
    )


def _jwt_secret_problem(secret: SecretStr | None) -> Problem | None:
    fault = "is not set" if secret is None else _weakness(secret)
    if fault is None:
        return None
    return Problem(
        f"JWT_SECRET {fault}.",
        "Whoever guesses it can sign in as anyone.",
        'Set it to the output of: python -c "import secrets; print(secrets.token_urlsafe(48))"',
    )


def _admin_key_problem(key: SecretStr | None, *, required: bool) -> Problem | None:
    fault = _weakness(key) if key is not None else "is not set" if required else None
    if fault is None:
        return None
    return Problem(
        f"ADMIN_KEY {fault}.",
        "Nobody can make a tenant." if key is None else "Whoever guesses it governs every account.",
        'Set it to the output of: python -c "import secrets; print(secrets.token_urlsafe(48))"',
    )


def _weakness(secret: SecretStr) -> str | None:
    value = secret.get_secret_value()
    if len(value.encode()) < SECRET_BYTES or len(set(value)) < SECRET_LETTERS:
        return "is too easy to guess"
    if any(word in value.lower() for word in EXAMPLES):
        return "looks like an example"
    return None


def _mail_problem(settings: Settings) -> Problem | None:
    missing = [] if settings.smtp_host else ["SMTP_HOST is not set"]
    if settings.mail_from.endswith("@localhost"):
        missing.append("MAIL_FROM is not set")
    if not settings.frontend_url.startswith("https://"):
        missing.append("FRONTEND_URL is not https")
    if not missing:
        return None
    return Problem(
        f"{', '.join(missing)}.",
        "Nobody can confirm an address or get a new password, or others read the links.",
        "Set SMTP_HOST, MAIL_FROM=service@example.com and FRONTEND_URL=https://app.example.com",
    )


def _cors_problem(origins: tuple[str, ...]) -> Problem | None:
    if "*" not in origins:
        return None
    return Problem(
        "CORS_ORIGINS is *.",
        "Every web page may call the service from its visitors' browsers.",
        "Name the pages that need it: CORS_ORIGINS=https://app.example.com",
    )
