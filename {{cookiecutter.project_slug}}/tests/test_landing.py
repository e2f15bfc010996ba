"""Pages for development: the start page, the mails, and the pages of their links."""

import base64
import hashlib
import re
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from {{ cookiecutter.package_name }}.app import create_app
from {{ cookiecutter.package_name }}.mail import KEPT_MAILS, LogMailer, Mail
from {{ cookiecutter.package_name }}.settings import Settings

from .accounts import ADA, Outbox
from .client import Client

PAGES = ("/", "/verify-email", "/reset-password")


def test_the_start_page_links_to_docs_metrics_and_health(client: TestClient) -> None:
    page = client.get("/")
    assert page.headers["Content-Type"].startswith("text/html")
    links = re.findall(r'href="([^"]+)"', page.text)
    assert {"docs", "metrics", "health/ready", "health/live"} <= set(links)
    for link in links:
        assert client.get(f"/{link}").status_code == 200


def test_the_start_page_links_to_operations_if_an_admin_key_is_set(settings: Settings) -> None:
    key = SecretStr("a key with thirty-two letters, or more")
    with Client(create_app(settings.model_copy(update={"admin_key": key}))) as client:
        assert 'href="operations"' in client.get("/").text
        assert client.get("/operations").status_code == 200


def test_the_start_page_shows_the_newest_mails_with_working_links(client: TestClient) -> None:
    client.post("/auth/register", json=ADA)
    page = client.get("/").text
    (link,) = re.findall(rf'To {ADA["email"]}: <a href="([^"]+)"', page)
    assert client.get(urlsplit(link).path).status_code == 200


def test_mails_are_html_escaped_and_only_the_newest_are_shown(client: TestClient) -> None:
    mailer = LogMailer()
    client.app.state.mailer = mailer  # type: ignore[attr-defined]
    for number in range(KEPT_MAILS + 1):
        mailer.send(Mail(f"{number}@example.com", "<script>alert(1)</script>", "", '"><b>'))
    page = client.get("/").text
    assert "<script>" not in page and "<b>" not in page
    assert f"{KEPT_MAILS}@example.com" in page and "To 0@example.com" not in page


def test_mails_sent_by_smtp_are_not_shown(client: TestClient, outbox: Outbox) -> None:
    client.post("/auth/register", json=ADA)
    assert outbox.mails
    assert "Mails" not in client.get("/").text


@pytest.mark.parametrize("path", PAGES)
def test_the_policy_of_each_page_allows_only_its_own_inline_code(
    client: TestClient, path: str
) -> None:
    answer = client.get(path)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    for inline in re.findall(r"<(?:script|style)>(.*?)</", answer.text, re.DOTALL):
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_production_has_no_development_pages(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"environment": "production"}))
    client = TestClient(app, base_url="http://localhost")
    for path in PAGES:
        assert client.get(path).status_code == 404
