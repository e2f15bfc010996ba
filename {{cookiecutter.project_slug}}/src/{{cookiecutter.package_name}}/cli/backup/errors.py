"""Errors of the commands for backups."""

from ...errors import ActionableError


def not_confirmed(what: str, command: str) -> ActionableError:
    """A command that replaces or removes data ran without a terminal to ask for confirmation, and
    without ``--yes``. Run it again with ``--yes``.
    """
    return ActionableError(
        "backup-not-confirmed",
        f"{what}, and --yes was not given.",
        "Nothing was done.",
        f"To confirm: {command} --yes",
    )


def not_kept(name: str) -> ActionableError:
    """No restore of this database has kept a database of that name. See all: ``backup forget``."""
    return ActionableError(
        "backup-not-kept",
        f"Nothing is kept as {name!r}.",
        "Nothing was removed.",
        "List them: backup forget",
    )
