"""The address of the SQLite database."""

from ..errors import ActionableError


def database_not_kept(file: str) -> ActionableError:
    """In production, DATABASE_URL is not set or names a database in memory. Name a file on a
    volume that outlives the container.
    """
    return ActionableError(
        "database-not-kept",
        "DATABASE_URL names no database file.",
        "In production all data would be lost or land where nobody looks.",
        f"Set DATABASE_URL=sqlite:////data/{file} (four slashes: an absolute path).",
    )


def address_not_sqlite(example: str) -> ActionableError:
    """DATABASE_URL cannot be read as an address, or is one of another database. Correct it. This
    service was made for SQLite; its migrations do not fit other databases.
    """
    return ActionableError(
        "address-not-sqlite",
        "The database's address is not one of SQLite.",
        "The service cannot open its database.",
        f"Write DATABASE_URL as {example}",
    )
