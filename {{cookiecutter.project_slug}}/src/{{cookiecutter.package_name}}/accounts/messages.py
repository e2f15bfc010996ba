"""The mails of accounts.

They repeat nothing that a stranger typed: anyone may register anyone's address. The fragment of a
link (``Tokens.fragment``) is what its page gets; it reaches no server's log.
"""

from .. import TITLE
from ..mail import Mail
from ..settings import Settings

IGNORE = "If that was not you, ignore this mail: nothing happens."


def verification(settings: Settings, email: str, fragment: str) -> Mail:
    """To a new owner."""
    return Mail(
        email,
        f"Confirm your address for {TITLE}",
        f"Someone registered this address with {TITLE}. Follow the link to confirm it is yours; "
        f"it is good for {settings.verification_hours} hours. {IGNORE}",
        f"{settings.frontend}/verify-email#{fragment}",
    )


def first_password(settings: Settings, email: str, fragment: str) -> Mail:
    """To an owner who confirmed the address without a password."""
    return Mail(
        email,
        f"Choose a password for {TITLE}",
        f"You confirmed this address with {TITLE}. Follow the link to choose a password; it is "
        f"good for {settings.password_reset_minutes} minutes. A password that was chosen when the "
        "address was registered does not work: somebody else may have chosen it.",
        f"{settings.frontend}/reset-password#{fragment}",
    )


def already_registered(settings: Settings, email: str, fragment: str) -> Mail:
    """To the owner of an address that is registered again."""
    return Mail(
        email,
        f"You have an account with {TITLE}",
        f"Someone tried to register this address with {TITLE}, where it has an account. "
        "Sign in as before, or follow the link to choose a new password; it is good for "
        f"{settings.password_reset_minutes} minutes. {IGNORE}",
        f"{settings.frontend}/reset-password#{fragment}",
    )


def password_reset(settings: Settings, email: str, fragment: str) -> Mail:
    """To whoever forgot."""
    return Mail(
        email,
        f"Choose a new password for {TITLE}",
        f"Someone asked for a new password for {TITLE}. Follow the link to choose one; it is good "
        f"for {settings.password_reset_minutes} minutes and works once. {IGNORE}",
        f"{settings.frontend}/reset-password#{fragment}",
    )


def closed(settings: Settings, email: str) -> Mail:
    """To the owner of an address whose account is closed, when it is registered again."""
    return Mail(
        email,
        f"Your account with {TITLE} is closed",
        f"Someone tried to register this address with {TITLE}, where its account is closed. "
        f"Only the operators can open it again: write to them if you want that. {IGNORE}",
        settings.frontend,
    )
