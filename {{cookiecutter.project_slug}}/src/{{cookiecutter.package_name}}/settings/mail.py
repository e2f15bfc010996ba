"""Settings of mail and of the links in it."""

from typing import Literal

from pydantic import Field, SecretStr

from ..errors import ActionableError
from . import errors
from .base import SERVICE
from .web import WebSettings


class MailSettings(WebSettings):
    """The SMTP server, the sender and the front end."""

    frontend_url: str | None = Field(
        None,
        description="Front end that mailed links open: its pages verify-email#token=... and "
        "reset-password#token=... send the token to /auth. Production requires https; in "
        "development the service itself has these pages.",
    )
    smtp_host: str | None = Field(
        None,
        description="SMTP server. Production requires it; without it the log shows the links.",
    )
    smtp_port: int = Field(587, ge=1, le=65535, description="The SMTP server's port.")
    smtp_user: str | None = Field(None, description="The SMTP server's user, if it requires one.")
    smtp_password: SecretStr = Field(SecretStr(""), description="The SMTP user's password.")
    smtp_tls: Literal["starttls", "implicit", "none"] = Field(
        "starttls", description="starttls, implicit (port 465) or none."
    )
    mail_from: str = Field(f"{SERVICE}@localhost", description="Sender of all mail.")

    @property
    def frontend(self) -> str:
        """FRONTEND_URL or the service's own address, ready for a path."""
        return (self.frontend_url or self.own_address).rstrip("/")

    def problems(self, *, serving: bool = True) -> list[ActionableError]:
        """Adds: no server, no sender, links that others can read."""
        found = super().problems(serving=serving)
        missing = [] if self.smtp_host else ["SMTP_HOST is not set"]
        if self.mail_from.endswith("@localhost"):
            missing.append("MAIL_FROM is not set")
        if not (self.frontend_url or "").startswith("https://"):
            missing.append("FRONTEND_URL is not https")
        if serving and missing:
            found.append(errors.mail_incomplete(missing))
        return found
