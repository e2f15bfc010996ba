"""The database: away at the start of the service, or later."""

from ..errors import ActionableError, HttpError


def unreachable_at_start(address: str, cause: str) -> ActionableError:
    """The database server is down, its address or the password is wrong, the database does not exist,
    or this user may not write in it. The text after the colon is the driver's. Start the server, or
    correct what it says.
    """
    return ActionableError(
        "database-unreachable-at-start",
        f"The database {address} cannot be used: {cause}",
        "The service does not start: without its database it could only fail.",
        "Start the database where it is down; else correct DATABASE_URL, or the permission it lacks.",
    )


def database_away() -> HttpError:
    """The database server is down, restarts, refuses more connections, or did not answer in time;
    the log of the request has the driver's words. Try again: the service finds the database by
    itself once it answers.
    """
    return HttpError(
        503,
        "database-unavailable",
        "The database does not answer.",
        "The request may not have been carried out.",
        "Try again in 5 seconds.",
        headers={"Retry-After": "5"},
    )
