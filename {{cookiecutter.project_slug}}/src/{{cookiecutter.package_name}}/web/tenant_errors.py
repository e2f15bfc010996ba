"""Errors about the tenant of a request."""

from ..errors import HttpError


def tenant_not_named() -> HttpError:
    """The request has no header X-Tenant-ID. With TENANT_FROM_HOST, its host name has no first
    label either. Send the tenant's id in X-Tenant-ID.
    """
    return HttpError(
        400,
        "tenant-not-named",
        "The request names no tenant.",
        "The request did nothing.",
        "Send the tenant's id in X-Tenant-ID.",
    )


def tenant_named_twice() -> HttpError:
    """The request has the header X-Tenant-ID more than once: a proxy may check one value, and the
    service would use the other. Send it once.
    """
    return HttpError(
        400,
        "tenant-named-twice",
        "The request names its tenant twice.",
        "The request did nothing.",
        "Send the header X-Tenant-ID once.",
    )
