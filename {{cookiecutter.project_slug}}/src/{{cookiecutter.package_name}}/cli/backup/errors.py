"""The command line: backups."""

from ...errors import ActionableError


def not_confirmed(what: str, command: str) -> ActionableError:
    """A command that replaces or removes data was typed where nobody can be asked, and without
    ``--yes``. Type it again with it.
    """
    return ActionableError(
        "backup-not-confirmed",
        f"{what}, and --yes was not given.",
        "Nothing was done.",
        f"If it must be: {command} --yes",
    )


def not_kept(name: str) -> ActionableError:
    """No restore of this database has kept anything of that name. See all: ``backup forget``."""
    return ActionableError(
        "backup-not-kept",
        f"Nothing is kept as {name!r}.",
        "Nothing was removed.",
        "See what is kept: backup forget",
    )
