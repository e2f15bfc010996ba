"""Sessions that see one tenant's tables.

Each transaction on the connection enters the tenant's schema, no matter how it began; so nothing
stays on the connection, and it is safe behind PgBouncer. ``public`` is never in the path.

Promised: after a commit or rollback of the session, of its connection, of the driver, or a
raw COMMIT, ROLLBACK, SET, RESET or DISCARD, the next statement runs in the tenant again, with its
role if it has one. AUTOCOMMIT is refused, and so is a driver's cursor after the end of its session.
No transaction sees anything that another tenant left on the connection: temporary tables, settings,
cursors, prepared statements, LISTEN, advisory locks, ``lastval()``. Behind a pooler these end with
their transaction.

Not promised: the path prevents mistakes, not attacks. A statement with ``tenant_other.users`` reads
that table, and a function may change the path, unless tenants have roles (TENANT_ROLES). A role
limits the session's statements, but not an attacker who can execute SQL: everybody may
``RESET ROLE``. Do not keep the driver's connection longer than its session: the pool gives it to
the next tenant, with the handlers and adapters that you gave it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, event
from sqlalchemy.orm import Session, SessionTransaction

from .tenant_guard import TenantGuard


class TenantSession(Session):
    """A session whose every transaction enters the schema of the tenant in ``info["tenant"]``.

    Raises:
        HttpError: at the first statement of a transaction, when there is no such tenant (404,
            tenant-unknown), or it is being made, migrated or removed, or has no role where it
            should have one (503, tenant-not-ready).
        ActionableError: at a statement that could not be kept inside the tenant
            (tenant-in-autocommit, tenant-left-within-string, tenant-listens-behind-pooler,
            tenant-session-over).
    """


_guards: WeakKeyDictionary[Connection, TenantGuard] = WeakKeyDictionary()


@event.listens_for(TenantSession, "after_begin")
def _guard(session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    if transaction.nested:
        return  # in a savepoint the schema of its transaction is still set
    info = session.info
    _guards[connection] = TenantGuard(*_behind(connection), info["tenant"], role=info["role"])
    _renew_after(info.get("tenants_per_connection"), info["tenant"], connection)
    # Once, on the engine: a listener on each connection takes ten times as long.
    if not event.contains(connection.engine, "begin", _follow):
        event.listen(connection.engine, "begin", _follow)


def _follow(connection: Connection) -> None:
    # After invalidate() there is another driver connection, with a cursor for its first statement.
    guard = _guards.get(connection)
    if guard is not None and connection.connection.driver_connection is not guard.connection:
        guard.move(*_behind(connection))
        guard.enter()


def _behind(connection: Connection) -> tuple[Any, bool]:
    # ``database.postgresql`` sets is_pooled. Without it, assume a pooler.
    return connection.connection.driver_connection, connection.info.get("is_pooled", True)


def _renew_after(tenants: int | None, tenant: str, connection: Connection) -> None:
    # The server's process caches the tables of each tenant until it ends.
    served: set[str] = connection.info.setdefault("tenants", set())
    served.add(tenant)
    if tenants is not None and len(served) >= tenants:
        connection.connection.invalidate(soft=True)  # replaced at the next checkout


@contextmanager
def tenant_session(
    engine: Engine, tenant: str, *, role: bool = False, tenants_per_connection: int | None = None
) -> Iterator[Session]:
    """A tenant's session outside a request. Call ``session.commit()`` to keep the changes.

    Args:
        role: whether each tenant has a database role (TENANT_ROLES).
        tenants_per_connection: number of tenants after which a connection is replaced; None for
            never (TENANTS_PER_CONNECTION).
    """
    info = {"tenant": tenant, "role": role, "tenants_per_connection": tenants_per_connection}
    with TenantSession(engine, info=info, expire_on_commit=False) as session:
        yield session
