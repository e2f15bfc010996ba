"""The address of the SQLite database."""

from ..errors import ActionableError


def database_not_kept(file: str) -> ActionableError:
    """In production, DATABASE_URL is not set, or the database is in memory. Name a file on a
    volume that outlives the container.
    """
    return ActionableError(
        "database-not-kept",
        "DATABASE_URL does not name a database file.",
        "In production all data would be lost, or written to an unexpected file.",
        f"Set DATABASE_URL=sqlite:////data/{file} (four slashes: an absolute path).",
    )


def address_not_sqlite(example: str) -> ActionableError:
    """DATABASE_URL is not a valid URL, or it is one of another database. Correct it. This
    service was made for SQLite; its migrations do not work on other databases.
    """
    return ActionableError(
        "address-not-sqlite",
        "The database's address is not a SQLite URL.",
        "The service cannot open its database.",
        f"Write DATABASE_URL as {example}",
    )
