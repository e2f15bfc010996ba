"""The address of the PostgreSQL database."""

from ..errors import ActionableError


def database_not_set(driver: str) -> ActionableError:
    """ENVIRONMENT is production, and neither DATABASE_URL nor DB_HOST is set. Set one of them.
    Only development and tests start an embedded server.
    """
    return ActionableError(
        "database-not-set",
        "Neither DATABASE_URL nor DB_HOST is set.",
        "In production the service has no database for its data.",
        f"Set DATABASE_URL={driver}://user:password@host:5432/name",
    )


def database_password_guessable(user: str | None) -> ActionableError:
    """In production, the database user's password is empty, a default or the user's name. Give the
    user a random password: ALTER ROLE name PASSWORD '...'
    """
    return ActionableError(
        "database-password-guessable",
        f"The password of database user {user!r} is empty or a default.",
        "Anyone who reaches the database's port can read and change all data.",
        "Give the user a random password and set it in DATABASE_URL or DB_PASSWORD.",
    )


def address_not_postgresql(driver: str) -> ActionableError:
    """DATABASE_URL is not a valid URL, or it is one of another database or driver. Correct
    it. Write characters such as @ and / in a password as %40 and %2F.
    """
    return ActionableError(
        "address-not-postgresql",
        "The database's address is not a PostgreSQL URL.",
        "The service cannot reach its database.",
        f"Write DATABASE_URL as {driver}://user:password@host:5432/name",
    )
