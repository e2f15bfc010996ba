"""The settings."""

from collections.abc import Sequence

from ..errors import ActionableError

MAKE_A_SECRET = 'python -c "import secrets; print(secrets.token_urlsafe(48))"'


def settings_invalid(faults: Sequence[str]) -> ActionableError:
    """An environment variable has a value of the wrong type or outside its limits. Correct the
    variables that the problem names. The values are not repeated, because one of them may be a
    password.
    """
    return ActionableError(
        "settings-invalid",
        f"Invalid settings: {'; '.join(faults)}",
        "The service does not start with invalid settings.",
        "Correct them in the environment or in .env; .env.example describes each.",
    )


def settings_unsafe(found: Sequence[ActionableError]) -> ActionableError:
    """ENVIRONMENT is production, and several settings are missing or unsafe. Set each of
    them; the impact and the solution have one line for each setting, in the same order.
    """
    problems = "\n".join(f"{error.problem} ({error.code})" for error in found)
    impacts = "\n".join(error.impact for error in found)
    solutions = "\n".join(error.solution for error in found)
    return ActionableError(
        "settings-unsafe",
        f"{len(found)} settings are unsafe in production:\n{problems}",
        f"The service does not start.\n{impacts}",
        f"Correct all of them:\n{solutions}",
    )


def jwt_secret_unsafe(fault: str) -> ActionableError:
    """JWT_SECRET is not set, shorter than 32 bytes, repetitive or copied from an example. Set it
    to a random value and keep it out of git. When it changes, all tokens become invalid.
    """
    return ActionableError(
        "jwt-secret-unsafe",
        f"JWT_SECRET is unsafe: it {fault}.",
        "An attacker who guesses it can sign in as any user.",
        f"Set it to the output of: {MAKE_A_SECRET}",
    )


def admin_key_unsafe(fault: str) -> ActionableError:
    """ADMIN_KEY is shorter than 32 bytes, repetitive or copied from an example. Set it to a random
    value, or leave it empty to turn administration over HTTP off.
    """
    return ActionableError(
        "admin-key-unsafe",
        f"ADMIN_KEY is unsafe: it {fault}.",
        "An attacker who guesses it controls every account.",
        f"Set it to the output of: {MAKE_A_SECRET}",
    )


def cors_open_to_all() -> ActionableError:
    """CORS_ORIGINS contains an asterisk, which allows every web page. List the origins of your own
    front ends, separated by commas.
    """
    return ActionableError(
        "cors-open-to-all",
        "CORS_ORIGINS contains *.",
        "Every web page may call the service from its visitors' browsers.",
        "Name the pages that need it: CORS_ORIGINS=https://app.example.com",
    )


def mail_incomplete(faults: Sequence[str]) -> ActionableError:
    """ENVIRONMENT is production, and the mail server, the sender or an https address for links is
    missing. Set the variables that the problem names.
    """
    return ActionableError(
        "mail-incomplete",
        f"Mail is not set up: {', '.join(faults)}.",
        "Users cannot confirm an address or reset a password, or others can read the links.",
        "Set SMTP_HOST, MAIL_FROM=service@example.com and FRONTEND_URL=https://app.example.com",
    )
