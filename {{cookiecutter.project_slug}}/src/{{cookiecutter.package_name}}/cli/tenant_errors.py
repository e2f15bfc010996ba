"""The command line: tenants."""

from ..errors import ActionableError


def drop_not_confirmed(tenant: str) -> ActionableError:
    """``tenant drop`` was typed without ``--yes``. Check the id, make a backup, and type it again
    with ``--yes``.
    """
    return ActionableError(
        "drop-not-confirmed",
        f"Dropping {tenant} removes all its rows, and --yes was not given.",
        "Nothing was removed.",
        f"If it must be: tenant drop {tenant} --yes",
    )
