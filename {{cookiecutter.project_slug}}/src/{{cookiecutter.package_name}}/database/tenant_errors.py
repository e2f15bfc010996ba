"""Errors of a tenant's session."""

from ..errors import ActionableError, HttpError

NOT_EXECUTED = "It was not executed: it could reach other tables."


def tenant_unknown(tenant: str) -> HttpError:
    """The registry has no tenant with this id: it was never created, or it was dropped. Correct the
    id, or create the tenant.
    """
    return HttpError(
        404,
        "tenant-unknown",
        f"There is no tenant {tenant!r}.",
        "The request did nothing.",
        "Correct the header X-Tenant-ID, or ask an administrator to create the tenant.",
    )


def tenant_not_ready(tenant: str, status: str) -> HttpError:
    """The tenant is being created or removed, its last migration failed, or TENANT_ROLES is on and
    it has no database role. Wait, or find the cause with ``tenant list`` and ``tenant audit``, and
    run ``tenant migrate`` or ``tenant roles``.
    """
    return HttpError(
        503,
        "tenant-not-ready",
        f"Tenant {tenant!r} is not ready: {status}.",
        "The request did nothing.",
        "Try again later; administrators see the cause with: tenant audit",
    )


def tenant_in_autocommit() -> ActionableError:
    """A tenant's session was set to AUTOCOMMIT, but its search path and role last for one
    transaction. Do not change the isolation level. Run such a statement in a migration.
    """
    return ActionableError(
        "tenant-in-autocommit",
        "The connection of a tenant's session is in autocommit mode.",
        NOT_EXECUTED,
        "Do not set isolation_level; run a statement that needs no transaction in a migration.",
    )


def tenant_left_within_string() -> ActionableError:
    """One string holds several statements, and one of them ends the transaction or changes its
    settings: the next statements would run outside the tenant. Execute the statements one by one.
    """
    return ActionableError(
        "tenant-left-within-string",
        "A string of several statements ends the transaction or changes its settings.",
        NOT_EXECUTED,
        "Execute its statements one by one.",
    )


def tenant_listens_behind_pooler() -> ActionableError:
    """LISTEN stays active on the server connection, which other tenants use next. Listen on a
    separate connection, directly to the server.
    """
    return ActionableError(
        "tenant-listens-behind-pooler",
        "LISTEN stays active on a server connection that other tenants use too.",
        "It was not executed: other tenants would see it.",
        "Listen on a separate connection, directly to the server.",
    )


def tenant_session_over() -> ActionableError:
    """A cursor of the driver was used after the end of its session, when another tenant may have
    its connection. Use it before the end of the session's ``with`` block.
    """
    return ActionableError(
        "tenant-session-over",
        "A cursor was used after its session had ended.",
        NOT_EXECUTED,
        "Use the cursor inside the session's with block, or open another session.",
    )
