"""Mail reaches a real SMTP server."""

import logging
import smtplib
import socket
import ssl
from collections.abc import Iterator
from email import message_from_bytes, policy
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from pydantic import SecretStr

from {{ cookiecutter.package_name }}.mail import LogMailer, Mail, SmtpMailer, deliver, mailer_for
from {{ cookiecutter.package_name }}.observability.logging import configure_logging
from {{ cookiecutter.package_name }}.settings import Settings

MAIL = Mail("ada@example.com", "Grüße", "Follow the link.", "https://app.example.com/#token=x")


class Mailbox:
    """Keeps the received mails."""

    def __init__(self) -> None:
        self.received: list[Any] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        self.received.append(envelope)
        return "250 OK"


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def settings(mailbox: Mailbox) -> Iterator[Settings]:
    def authenticate(_server: Any, _session: Any, _envelope: Any, _way: str, given: Any) -> Any:
        return AuthResult(success=given == LoginPassword(b"service", b"hunter2"), handled=False)

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    server = Controller(
        mailbox, "127.0.0.1", port, authenticator=authenticate, auth_require_tls=False
    )
    logging.getLogger("mail.log").setLevel(logging.WARNING)
    server.start()
    yield Settings(
        _env_file=None,
        smtp_host="127.0.0.1",
        smtp_port=port,
        smtp_tls="none",
        smtp_user="service",
        smtp_password=SecretStr("hunter2"),
        mail_from="service@example.com",
    )
    server.stop()


def test_an_smtp_mail_arrives_with_its_subject_text_and_link(
    settings: Settings, mailbox: Mailbox
) -> None:
    mailer_for(settings).send(MAIL)
    (envelope,) = mailbox.received
    message = message_from_bytes(envelope.content, policy=policy.default)
    assert (envelope.mail_from, envelope.rcpt_tos) == ("service@example.com", [MAIL.to])
    assert message["Subject"] == MAIL.subject
    body = message.get_content()
    assert MAIL.text in body and MAIL.link in body


@pytest.mark.parametrize(
    "changed", [{"smtp_user": "eve"}, {"smtp_port": 1}, {"smtp_tls": "starttls"}]
)
def test_a_mail_that_cannot_be_sent_is_logged_without_its_link(
    settings: Settings,
    mailbox: Mailbox,
    changed: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("INFO", as_json=True)
    deliver(SmtpMailer(settings.model_copy(update=changed)), MAIL)
    assert mailbox.received == []
    output = capsys.readouterr()
    assert "Mail was not sent" in output.err + output.out
    assert "token=x" not in output.err + output.out


def test_development_logs_the_link_of_a_mail(capsys: pytest.CaptureFixture[str]) -> None:
    mailer = mailer_for(Settings(_env_file=None))
    assert isinstance(mailer, LogMailer)
    mailer.send(MAIL)
    output = capsys.readouterr()
    assert MAIL.link in output.err + output.out


def test_mail_is_sent_only_to_servers_with_a_valid_certificate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[ssl.SSLContext] = []

    def note(*_: Any, context: ssl.SSLContext, **__: Any) -> None:
        seen.append(context)
        raise OSError("enough is known")

    monkeypatch.setattr(smtplib, "SMTP_SSL", note)
    settings = Settings(_env_file=None, smtp_host="127.0.0.1", smtp_tls="implicit")
    with pytest.raises(OSError, match="enough"):
        SmtpMailer(settings).send(Mail("ada@example.com", "", "", ""))
    assert seen[0].verify_mode is ssl.CERT_REQUIRED and seen[0].check_hostname
