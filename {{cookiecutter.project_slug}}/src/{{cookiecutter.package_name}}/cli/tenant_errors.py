"""Errors of the commands for tenants."""

from ..errors import ActionableError


def drop_not_confirmed(tenant: str) -> ActionableError:
    """``tenant drop`` was called without ``--yes``. Check the id, make a backup, and run it again
    with ``--yes``.
    """
    return ActionableError(
        "drop-not-confirmed",
        f"Dropping {tenant} removes all its rows, and --yes was not given.",
        "Nothing was removed.",
        f"To confirm: tenant drop {tenant} --yes",
    )
