"""The database at the start of the service."""

from ..errors import ActionableError


def unreachable_at_start(address: str, cause: str) -> ActionableError:
    """The database server is down, its address or the password is wrong, or the database does not
    exist. The text after the colon is the driver's. Start the server, or correct the address.
    """
    return ActionableError(
        "database-unreachable-at-start",
        f"The database {address} does not answer: {cause}",
        "The service does not start: without its database it could only fail.",
        "Start the database, or correct DATABASE_URL.",
    )
