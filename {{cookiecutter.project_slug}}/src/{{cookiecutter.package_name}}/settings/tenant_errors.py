"""The settings of tenants."""

from ..errors import ActionableError


def admin_key_missing() -> ActionableError:
    """ENVIRONMENT is production, and ADMIN_KEY is not set. Set it; administrators send it as
    X-Admin-Key.
    """
    return ActionableError(
        "admin-key-missing",
        "ADMIN_KEY is not set.",
        "Nobody can create a tenant over HTTP.",
        'Set it to the output of: python -c "import secrets; print(secrets.token_urlsafe(48))"',
    )
