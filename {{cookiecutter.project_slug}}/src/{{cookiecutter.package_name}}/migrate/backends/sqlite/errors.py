"""Errors that only SQLite gives."""

from pathlib import Path

from ....errors import ActionableError
from ...errors import cause


def cannot_lock(path: Path, error: Exception) -> ActionableError:
    """The database's folder is not writable for this user. Make it writable."""
    return ActionableError(
        "cannot-lock",
        f"The lock {path} cannot be written: {cause(error)}",
        "Nothing was run: another process could migrate at the same time.",
        f"Make {path.parent} writable for this user.",
    )


def cannot_end_holder(holder: object, process: int) -> ActionableError:
    """SQLite has no sessions to end. End the process yourself."""
    return ActionableError(
        "cannot-end-holder",
        f"{holder} holds the lock, and SQLite cannot end another process's session.",
        "The lock stays until that process ends.",
        f"End the process: kill {process}",
    )
