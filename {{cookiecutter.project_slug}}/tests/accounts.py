"""Helpers for tests of accounts."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from fastapi.testclient import TestClient
from httpx2 import Response
from pydantic import SecretStr

from {{ cookiecutter.package_name }}.mail import Mail
from {{ cookiecutter.package_name }}.settings import Settings

# Cheap password hashes, and high rate limits.
OFTEN = "1000/second"
QUICK = {
    "bcrypt_cost": 4,
    "rate_limit_mails": OFTEN,
    "rate_limit_per_account": OFTEN,
    "rate_limit_per_address": OFTEN,
    "wrong_passwords_before_delay": 1000,
}

PASSWORD = "correct horse battery"
ADA = {"email": "ada@example.com", "password": PASSWORD, "name": "Ada Lovelace"}


def with_connections(settings: Settings, folder: Path) -> Settings:
    """The same settings, but with several connections: SQLite in memory has one for all."""
    if settings.test_database_url is not None:
        return settings
    address = SecretStr(f"sqlite:///{folder}/test.db")
    return settings.model_copy(update={"test_database_url": address})


class Outbox:
    """Keeps mails instead of sending them."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []

    def send(self, mail: Mail) -> None:
        """Keep it."""
        self.mails.append(mail)


def token_in(mail: Mail) -> str:
    """The values in the link's fragment."""
    return parse_qs(urlsplit(mail.link).fragment)["token"][0]


def sign_in(client: TestClient, email: str = ADA["email"], password: str = PASSWORD) -> Response:
    """Try to sign in."""
    return client.post("/auth/login", json={"email": email, "password": password})


def register(client: TestClient, outbox: Outbox, email: str = ADA["email"]) -> Response:
    """Open an account, confirm the address and sign in."""
    client.post("/auth/register", json={**ADA, "email": email})
    confirm(client, outbox.mails[-1])
    return sign_in(client, email)


def confirm(client: TestClient, mail: Mail, password: str = PASSWORD) -> Response:
    """Follow the link in a mail."""
    body = {"token": token_in(mail), "password": password}
    return client.post("/auth/verify-email", json=body)


def authorize(answer: Response) -> dict[str, str]:
    """The header with the token of this answer."""
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}
