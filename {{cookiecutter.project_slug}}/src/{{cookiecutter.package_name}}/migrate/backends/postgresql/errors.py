"""Errors that only PostgreSQL gives."""

from ....errors import ActionableError


def lock_lost() -> ActionableError:
    """Somebody ended the lock's session, with ``migrate unlock --force`` for example. Run it again."""
    return ActionableError(
        "lock-lost",
        "The migration lock was lost: its database session has ended.",
        "The transaction was undone, so that no two migrators run at once.",
        "Run it again: migrate latest",
    )
