"""Sessions that see one tenant's tables.

Each transaction enters the tenant's schema for itself, so nothing is left behind on the connection:
safe behind PgBouncer, after commit and after rollback. ``public`` is never in the path.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.orm import Session, SessionTransaction

from .tenant_errors import tenant_not_ready, tenant_unknown

# One statement checks, quotes and enters. Where the row is missing nothing is entered.
_ENTER = text(
    "SELECT t.status, set_config('search_path', quote_ident(n.nspname) || ',pg_temp', true),"
    " CASE WHEN :role THEN set_config('role', n.nspname, true) END"
    " FROM pg_namespace n JOIN public.tenants t ON t.schema_name = n.nspname WHERE t.id = :tenant"
)


class TenantSession(Session):
    """A session whose every transaction enters the schema of the tenant in ``info["tenant"]``.

    Raises:
        HttpError: when a transaction begins and there is no such tenant (404, tenant-unknown), or
            the tenant is being made, migrated or removed (503, tenant-not-ready).
    """


@event.listens_for(TenantSession, "after_begin")
def _enter(session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    if transaction.nested:
        return  # a savepoint keeps what its transaction entered
    row = connection.execute(_ENTER, dict(session.info)).first()
    if row is None:
        raise tenant_unknown(session.info["tenant"])
    if row.status != "ready":
        raise tenant_not_ready(session.info["tenant"], row.status)
    _renew_after(session.info.get("tenants_per_connection"), session.info["tenant"], connection)


def _renew_after(tenants: int | None, tenant: str, connection: Connection) -> None:
    # The server's process keeps what it learned of each tenant's tables, as long as it lives.
    served: set[str] = connection.info.setdefault("tenants", set())
    served.add(tenant)
    if tenants is not None and len(served) >= tenants:
        connection.connection.invalidate(soft=True)  # replaced when it is taken the next time


@contextmanager
def tenant_session(
    engine: Engine, tenant: str, *, role: bool = False, tenants_per_connection: int | None = None
) -> Iterator[Session]:
    """A tenant's session outside a request. Call ``session.commit()`` to keep what was written.

    Args:
        role: whether tenants have roles of their own (TENANT_ROLES).
        tenants_per_connection: after how many tenants a connection is replaced by a new one; never
            when left out (TENANTS_PER_CONNECTION).
    """
    info = {"tenant": tenant, "role": role, "tenants_per_connection": tenants_per_connection}
    with TenantSession(engine, info=info, expire_on_commit=False) as session:
        yield session
