"""The mails of accounts.

They repeat nothing that a stranger typed: anyone may register anyone's address. A link names what
its token is bound to, so that the page it leads to knows which tenant to send the token to.
"""

from collections.abc import Mapping
from urllib.parse import urlencode

from .. import TITLE
from ..mail import Mail
from ..settings import Settings

IGNORE = "If that was not you, ignore this mail: nothing happens."


def verification(settings: Settings, email: str, token: str, binding: Mapping[str, str]) -> Mail:
    """To a new owner."""
    return Mail(
        email,
        f"Confirm your address for {TITLE}",
        f"Someone registered this address with {TITLE}. Follow the link to confirm it is yours; "
        f"it is good for {settings.verification_hours} hours. {IGNORE}",
        _link(settings, "verify-email", token, binding),
    )


def already_registered(
    settings: Settings, email: str, token: str, binding: Mapping[str, str]
) -> Mail:
    """To the owner of an address that is registered again."""
    return Mail(
        email,
        f"You have an account with {TITLE}",
        f"Someone tried to register this address with {TITLE}, where it has an account. "
        "Sign in as before, or follow the link to choose a new password; it is good for "
        f"{settings.password_reset_minutes} minutes. {IGNORE}",
        _link(settings, "reset-password", token, binding),
    )


def password_reset(settings: Settings, email: str, token: str, binding: Mapping[str, str]) -> Mail:
    """To whoever forgot."""
    return Mail(
        email,
        f"Choose a new password for {TITLE}",
        f"Someone asked for a new password for {TITLE}. Follow the link to choose one; it is good "
        f"for {settings.password_reset_minutes} minutes and works once. {IGNORE}",
        _link(settings, "reset-password", token, binding),
    )


def _link(settings: Settings, page: str, token: str, binding: Mapping[str, str]) -> str:
    # What the token is bound to, such as a tenant, the page has to send along with it.
    query = f"?{urlencode(binding)}" if binding else ""
    return f"{settings.frontend}/{page}{query}#token={token}"
