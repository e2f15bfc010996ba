"""Errors about an unreachable database, at the start of the service and later."""

from ..errors import ActionableError, HttpError


def unreachable_at_start(address: str, cause: str) -> ActionableError:
    """The database server is down, its address or the password is wrong, the database does not
    exist, or this user may not write to it. The text after the colon is the driver's. Start the
    server, or correct the cause that the text names.
    """
    return ActionableError(
        "database-unreachable-at-start",
        f"The database {address} cannot be used: {cause}",
        "The service does not start: without its database every request would fail.",
        "If the database is down, start it; else correct DATABASE_URL, or grant the missing "
        "permission.",
    )


def database_away() -> HttpError:
    """The database server is down, restarts, refuses more connections, or did not answer in time;
    the request's log has the driver's message. Try again: the service reconnects by itself when the
    database answers.
    """
    return HttpError(
        503,
        "database-unavailable",
        "The database does not answer.",
        "The request may not have been carried out.",
        "Try again in 5 seconds.",
        headers={"Retry-After": "5"},
    )
