"""Errors that only PostgreSQL gives."""

from ....errors import ActionableError
from ....words import count
from ...errors import cause


def lock_lost() -> ActionableError:
    """Somebody ended the lock's session, for example by ``migrate unlock --force``. Try again."""
    return ActionableError(
        "lock-lost",
        "The migration lock was lost: its database session has ended.",
        "The transaction was undone, so that two migrators do not run at once.",
        "Run it again: migrate latest",
    )


def pooler_too_small(seconds: float) -> ActionableError:
    """Migrations run on one connection while the lock is held on another.

    Give the pooler at least two connections for this database and user (PgBouncer:
    ``default_pool_size``), or set ``MIGRATION_DATABASE_URL`` to the server itself.
    """
    return ActionableError(
        "pooler-too-small",
        "While the migration lock held one connection, the pooler gave no other for"
        f" {count(seconds, 'second')}.",
        "Nothing was run: it needs two connections at once.",
        "Raise the pooler's default_pool_size to 2 or more, or set MIGRATION_DATABASE_URL to the"
        " address of the server itself.",
    )


def no_scratch_database(error: Exception) -> ActionableError:
    """The migrations are tried in an empty database on the same server, which is
    dropped afterwards. The role may not create databases, or a pooler allows only
    some databases.
    """
    return ActionableError(
        "no-scratch-database",
        f"An empty database to try the migrations in cannot be created: {cause(error)}",
        "Nothing was tried and nothing was changed.",
        "Let the role create databases (ALTER ROLE … CREATEDB), or set MIGRATION_DATABASE_URL, or "
        "only for linting LINT_DATABASE_URL, to the address of a server where it may.",
    )
