"""The base class of all settings, and helpers for secrets."""

import secrets
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ..errors import ActionableError

SERVICE = "{{ cookiecutter.project_slug }}"
Environment = Literal["development", "production", "test"]

SECRET_BYTES = 32  # RFC 7518, section 3.2: an HS256 key is at least as long as its hash
SECRET_LETTERS = 10
EXAMPLES = ("change", "example", "secret", "password", "placeholder", "your-")


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


# The range of the databases' timers: milliseconds in 31 bits. Infinity is not in it.
Seconds = Annotated[float, Field(le=1_000_000)]
CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


class BasePart(BaseSettings):
    """The environment of the service.

    It is the base of the settings: each feature has its own part, and ``Settings`` joins them.
    """

    # Empty variables count as unset.
    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True)

    environment: Environment = Field("development", description="development, production or test.")

    @property
    def in_production(self) -> bool:
        """Whether unsafe settings stop the start."""
        return self.environment == "production"

    def problems(self, *, serving: bool = True) -> list[ActionableError]:
        """The unsafe settings in production. Each part adds its own to those of ``super()``.

        Args:
            serving: whether the process will answer requests; a command that only migrates needs no
            secrets.
        """
        return []


def fault_of_secret(secret: SecretStr | None) -> str | None:
    """The fault of a secret, as the end of a sentence; None if it has no fault."""
    return "is not set" if secret is None else _weakness(secret)


def random_secret() -> SecretStr:
    """A secret that is lost when the process ends."""
    return SecretStr(secrets.token_urlsafe(48))


def kept_secret(path: Path) -> SecretStr:
    """The secret in this file. A missing file is created.

    If the file can be neither read nor created, the secret is lost when the process ends.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            # From its creation on, only the owner can read it.
            path.touch(mode=0o600, exist_ok=False)
            path.write_text(random_secret().get_secret_value(), encoding="ascii")
        kept = SecretStr(path.read_text(encoding="ascii").strip())
    except (OSError, UnicodeDecodeError):
        return random_secret()
    return random_secret() if _weakness(kept) else kept


def _weakness(secret: SecretStr) -> str | None:
    value = secret.get_secret_value()
    if len(value.encode()) < SECRET_BYTES or len(set(value)) < SECRET_LETTERS:
        return "is too easy to guess"
    if any(word in value.lower() for word in EXAMPLES):
        return "looks like an example"
    return None
