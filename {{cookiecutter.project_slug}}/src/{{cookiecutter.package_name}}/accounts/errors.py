"""Errors of accounts: sign-in, passwords, mailed links."""

from ..errors import HttpError

CHALLENGE = {"WWW-Authenticate": "Bearer"}
ANOTHER = "Choose another one, for example four random words."


def not_signed_in() -> HttpError:
    """The request has no access token, or one that is expired, of a closed account, or issued
    before the password changed. Sign in again and send the new token.
    """
    return HttpError(
        401,
        "not-signed-in",
        "You are not signed in.",
        "The request did nothing.",
        "Sign in at POST /auth/login and send the token: Authorization: Bearer …",
        headers=CHALLENGE,
    )


def credentials_refused() -> HttpError:
    """No account has this email address, the password is wrong, the account is closed, or its
    address is not confirmed. The answer is the same for all, so that it tells nobody who has an
    account. Check address and password, confirm the address, or reset the password.
    """
    return HttpError(
        401,
        "credentials-refused",
        "No active account with a confirmed address has that email and password.",
        "You are not signed in.",
        "Check both. Confirm your address by the mailed link, or ask for links: "
        "POST /auth/request-verification, POST /auth/request-password-reset",
        headers=CHALLENGE,
    )


def current_password_wrong() -> HttpError:
    """The current password in the request to change it is wrong. Type it again, or
    reset it by mail.
    """
    return HttpError(
        403,
        "current-password-wrong",
        "The current password is wrong.",
        "The password was not changed.",
        "Type it again, or ask for a link: POST /auth/request-password-reset",
    )


def link_not_valid(source: str) -> HttpError:
    """The token of a mailed link is unknown, expired, already used, or replaced by a newer one.
    Ask for a new link and use the newest mail.
    """
    return HttpError(
        400,
        "link-not-valid",
        "The link is invalid or has expired.",
        "Nothing was changed.",
        f"Ask for a new one: POST {source}",
    )


def confirmation_refused() -> HttpError:
    """The token of the mailed link is unknown, expired, already used, or replaced by a newer one;
    or the password is not the one that the account was registered with. Type the password again,
    or ask for a new link and use the newest mail. If you do not know the password, because
    somebody else registered the address, reset it.
    """
    return HttpError(
        400,
        "confirmation-refused",
        "The link is invalid or has expired, or the password is wrong.",
        "Nothing was changed.",
        "Check the password, ask for a new link: POST /auth/request-verification, "
        "or choose a new password: POST /auth/request-password-reset",
    )


def password_too_short(minimum: int) -> HttpError:
    """Short passwords can be found by trying all of them. Choose a longer password."""
    return HttpError(
        422,
        "password-too-short",
        f"The password is shorter than {minimum} characters.",
        "Nothing was saved.",
        f"Choose one of {minimum} characters or more, for example four random words.",
    )


def password_is_the_address() -> HttpError:
    """The password is the email address or the part before the @. Choose a password that others
    cannot derive from what they know about you.
    """
    return HttpError(
        422,
        "password-is-the-address",
        "The password is the email address.",
        "Nothing was saved.",
        ANOTHER,
    )


def password_guessable() -> HttpError:
    """The password is a common word with digits around it, a sequence of digits, or a few repeated
    characters. Choose a password that is not on the lists that attackers try first.
    """
    return HttpError(
        422,
        "password-guessable",
        "The password is too easy to guess.",
        "Nothing was saved.",
        ANOTHER,
    )


def user_unknown() -> HttpError:
    """No user has the id in the address. Take the id from the list of users."""
    return HttpError(
        404, "user-unknown", "There is no such user.", "Nothing was changed.", "List: GET /users"
    )
