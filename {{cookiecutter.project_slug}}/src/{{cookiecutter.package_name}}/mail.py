"""Mail: one small interface with two classes, the log for development and SMTP for production."""

import smtplib
import ssl
from collections import deque
from dataclasses import dataclass
from email.message import EmailMessage
from functools import partial
from typing import Protocol

import structlog

from .settings import Settings

TIMEOUT_SECONDS = 10
KEPT_MAILS = 20

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class Mail:
    """A message to one person, with a link."""

    to: str
    subject: str
    text: str
    link: str


class Mailer(Protocol):
    """An object that sends mail. ``app.state.mailer`` holds the one in use."""

    def send(self, mail: Mail) -> None:
        """Send it.

        Raises:
            OSError: it could not be sent (all of smtplib's errors are OSErrors).
        """


class LogMailer:
    """Writes the link to the log and keeps the newest mails: the mailbox of development.

    Attributes:
        mails: oldest first; they are lost when the process ends.
    """

    def __init__(self) -> None:
        self.mails: deque[Mail] = deque(maxlen=KEPT_MAILS)

    def send(self, mail: Mail) -> None:
        self.mails.append(mail)
        log.info("Mail", to=mail.to, subject=mail.subject, link=mail.link)


@dataclass(frozen=True)
class SmtpMailer:
    """Sends through the SMTP server of the settings."""

    settings: Settings

    def send(self, mail: Mail) -> None:
        message = EmailMessage()
        message["From"], message["To"] = self.settings.mail_from, mail.to
        message["Subject"] = mail.subject
        message.set_content(f"{mail.text}\n\n{mail.link}\n")
        context = ssl.create_default_context()
        implicit = self.settings.smtp_tls == "implicit"
        connect = partial(smtplib.SMTP_SSL, context=context) if implicit else smtplib.SMTP
        host, port = self.settings.smtp_host or "", self.settings.smtp_port
        with connect(host, port, timeout=TIMEOUT_SECONDS) as server:
            if self.settings.smtp_tls == "starttls":
                server.starttls(context=context)
            if self.settings.smtp_user:
                password = self.settings.smtp_password.get_secret_value()
                server.login(self.settings.smtp_user, password)
            server.send_message(message)


def mailer_for(settings: Settings) -> Mailer:
    """SMTP when SMTP_HOST is set, the log otherwise."""
    return SmtpMailer(settings) if settings.smtp_host else LogMailer()


def deliver(mailer: Mailer, mail: Mail) -> None:
    """Send it in the background. A failure is logged; the user can ask for a new link."""
    try:
        mailer.send(mail)
    except OSError:
        log.exception("Mail was not sent", to=mail.to, subject=mail.subject)
