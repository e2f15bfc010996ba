"""Sessions that see one tenant's tables.

Each transaction of the connection enters the tenant's schema for itself, whoever began it; so
nothing is left behind on the connection, and it is safe behind PgBouncer. ``public`` is never in
the path.

What is promised: after a commit or rollback of the session, of its connection, of the driver, or a
raw COMMIT, ROLLBACK, SET, RESET or DISCARD, the next statement runs in the tenant again, with its
role if it has one. AUTOCOMMIT is refused. No transaction sees what another tenant's left on the
connection: temporary tables, settings, cursors, prepared statements, LISTEN, advisory locks,
``lastval()``.

What is not: a path keeps mistakes in, not intent. A statement that writes ``tenant_other.users``
reads it, and so does a function that sets the path and reads in one call, unless tenants have
roles (TENANT_ROLES). And a role keeps out what the tenant's session executes, not who gets to
execute SQL of his own: ``RESET ROLE`` is open to everybody.
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
            (tenant-in-autocommit, tenant-left-within-string, tenant-listens-behind-pooler).
    """


_guards: WeakKeyDictionary[Connection, TenantGuard] = WeakKeyDictionary()


@event.listens_for(TenantSession, "after_begin")
def _guard(session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    if transaction.nested:
        return  # a savepoint keeps what its transaction entered
    info = session.info
    _guards[connection] = TenantGuard(*_behind(connection), info["tenant"], role=info["role"])
    _renew_after(info.get("tenants_per_connection"), info["tenant"], connection)
    # On the engine, and once: a listener on each connection takes ten times as long.
    if not event.contains(connection.engine, "begin", _follow):
        event.listen(connection.engine, "begin", _follow)


def _follow(connection: Connection) -> None:
    # After invalidate() another one is behind it, and the cursor of its first statement is made.
    guard = _guards.get(connection)
    if guard is not None and connection.connection.driver_connection is not guard.connection:
        guard.move(*_behind(connection))
        guard.enter()


def _behind(connection: Connection) -> tuple[Any, bool]:
    # Without a mark of ``database.postgresql`` nobody knows whether there is a pooler.
    return connection.connection.driver_connection, connection.info.get("is_pooled", True)


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
