"""The session of a tenant."""

from ..errors import HttpError


def tenant_unknown(tenant: str) -> HttpError:
    """The registry has no tenant of this id: it was never made, or it was dropped. Correct the id,
    or make the tenant.
    """
    return HttpError(
        404,
        "tenant-unknown",
        f"There is no tenant {tenant!r}.",
        "The request did nothing.",
        "Correct the header X-Tenant-ID, or ask an administrator to make the tenant.",
    )


def tenant_not_ready(tenant: str, status: str) -> HttpError:
    """The tenant is being made or removed, or its last migration failed. Wait, or see the cause
    with ``tenant list`` and run ``tenant migrate`` again.
    """
    return HttpError(
        503,
        "tenant-not-ready",
        f"Tenant {tenant!r} is not ready: {status}.",
        "The request did nothing.",
        "Try again later; administrators see the cause with: tenant list",
    )
