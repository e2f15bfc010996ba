"""Errors that any route may answer."""

from ..errors import HttpError
from ..words import count

NOTHING_DONE = "The request did nothing."


def host_refused() -> HttpError:
    """The request's host name is not in ALLOWED_HOSTS. Use the service's own name, or let an
    operator add the name to ALLOWED_HOSTS.
    """
    return HttpError(
        400,
        "host-refused",
        "This service does not accept that host name.",
        NOTHING_DONE,
        "Use its own name. Operators list the accepted names in ALLOWED_HOSTS.",
    )


def request_unreadable() -> HttpError:
    """The body is cut off, or is not of the content type that its header claims. Send the whole
    body with the right Content-Type.
    """
    return HttpError(
        400,
        "request-unreadable",
        "The request cannot be read.",
        NOTHING_DONE,
        "Send the whole body with the right Content-Type.",
    )


def administration_off() -> HttpError:
    """The request is for administrators, and this service has no ADMIN_KEY. Operators set
    ADMIN_KEY and start the service again.
    """
    return HttpError(
        403,
        "administration-off",
        "Administration is off.",
        NOTHING_DONE,
        "Operators turn administration on by setting ADMIN_KEY.",
    )


def admin_key_refused() -> HttpError:
    """The request is for administrators, and its header X-Admin-Key is missing or wrong. Send the
    key that the setting ADMIN_KEY holds.
    """
    return HttpError(
        403,
        "admin-key-refused",
        "This is for administrators only.",
        NOTHING_DONE,
        "Send the administrators' key in the header X-Admin-Key.",
    )


def path_unknown() -> HttpError:
    """The service has no such path. Compare it with the API's paths; in development see /docs."""
    return HttpError(
        404,
        "path-unknown",
        "There is nothing here.",
        NOTHING_DONE,
        "Compare the address with the API's paths.",
    )


def method_not_allowed() -> HttpError:
    """The path exists and does not take this method. Use a method that the answer's header Allow
    names.
    """
    return HttpError(
        405,
        "method-not-allowed",
        "This path does not allow that method.",
        NOTHING_DONE,
        "Use one of the methods in the header Allow.",
    )


def request_too_large() -> HttpError:
    """The body is larger than MAX_BODY_BYTES. Send less at once; operators raise MAX_BODY_BYTES."""
    return HttpError(
        413, "request-too-large", "The request is too large.", NOTHING_DONE, "Send less at once."
    )


def values_invalid(faults: str) -> HttpError:
    """A value in the path, the query or the body is missing or invalid. Correct
    the values; the answer's member ``errors`` names each. The values themselves are not repeated,
    because one of them may be a password.
    """
    return HttpError(
        422,
        "values-invalid",
        f"Invalid values: {faults}",
        NOTHING_DONE,
        "Correct the values that the member errors names.",
    )


def rate_limited(seconds: int) -> HttpError:
    """There were more attempts than RATE_LIMIT_PER_ADDRESS or RATE_LIMIT_PER_ACCOUNT allow. Wait
    as long as the answer's header Retry-After says. If all clients share one address, the service
    may stand behind a proxy that TRUSTED_PROXIES does not name.
    """
    return HttpError(
        429,
        "rate-limited",
        "There were too many attempts.",
        NOTHING_DONE,
        f"Try again in {count(seconds, 'second')}.",
        headers={"Retry-After": str(seconds)},
    )


def service_busy() -> HttpError:
    """MAX_WAITING_REQUESTS requests, or MAX_WAITING_SIGN_INS that hash a password, wait already, or
    this one waited for 10 seconds. Try again. Operators add processes or replicas or, if the
    database has room for more connections, raise DB_POOL_MAX.
    """
    return HttpError(
        503,
        "service-busy",
        "The service is busy.",
        NOTHING_DONE,
        "Try again in 1 second.",
        headers={"Retry-After": "1"},
    )


def unexpected() -> HttpError:
    """A defect in the service, or an unexpected failure. Operators find the traceback in
    the log by the request id.
    """
    return HttpError(
        500,
        "unexpected",
        "The service had an unexpected error.",
        "The request may not have been carried out.",
        "Try again. If it happens again, tell the operators the request id.",
    )


def request_refused(status: int, message: str) -> HttpError:
    """A library of the service refused the request; the problem contains the library's message.
    Correct the request accordingly.
    """
    return HttpError(
        status,
        "request-refused",
        f"The request was refused: {message}",
        NOTHING_DONE,
        "Correct the request and send it again.",
    )
