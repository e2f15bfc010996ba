"""The mails of accounts.

They contain no text that a stranger typed, since anyone may register any address. A link carries
its token in the fragment (``Tokens.fragment``): only the page gets it, and no server's log.
"""

from .. import TITLE
from ..mail import Mail
from ..settings import Settings
from ..words import count

IGNORE = "If that was not you, ignore this mail: nothing will change."


def verification(settings: Settings, email: str, fragment: str) -> Mail:
    """To a new owner."""
    return Mail(
        email,
        f"Confirm your address for {TITLE}",
        f"Someone registered this address with {TITLE}. Follow the link to confirm it is yours; "
        f"it is good for {count(settings.verification_hours, 'hour')}. {IGNORE}",
        f"{settings.frontend}/verify-email#{fragment}",
    )


def first_password(settings: Settings, email: str, fragment: str) -> Mail:
    """To an owner who confirmed the address without a password."""
    return Mail(
        email,
        f"Choose a password for {TITLE}",
        f"You confirmed this address with {TITLE}. Follow the link to choose a password; it is "
        f"good for {count(settings.password_reset_minutes, 'minute')}. A password that was chosen when the "
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
        f"{count(settings.password_reset_minutes, 'minute')}. {IGNORE}",
        f"{settings.frontend}/reset-password#{fragment}",
    )


def password_reset(settings: Settings, email: str, fragment: str) -> Mail:
    """To a user who forgot the password."""
    return Mail(
        email,
        f"Choose a new password for {TITLE}",
        f"Someone asked for a new password for {TITLE}. Follow the link to choose one; it is good "
        f"for {count(settings.password_reset_minutes, 'minute')} and works once. {IGNORE}",
        f"{settings.frontend}/reset-password#{fragment}",
    )


def closed(settings: Settings, email: str) -> Mail:
    """To the owner of a closed account whose address is registered again."""
    return Mail(
        email,
        f"Your account with {TITLE} is closed",
        f"Someone tried to register this address with {TITLE}, where its account is closed. "
        f"Only the operators can open it again: write to them if you want this. {IGNORE}",
        settings.frontend,
    )
