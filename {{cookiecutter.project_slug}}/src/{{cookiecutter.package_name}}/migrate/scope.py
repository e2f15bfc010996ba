"""The scope of a run: the whole database or, in a multi-tenant service, one schema."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum

from sqlalchemy import Connection, MetaData

Body = Callable[..., None]


class Fills(StrEnum):
    """What the body of a backfill's migration itself does.

    Attributes:
        LATER: it writes the row of progress; chunks update the table later.
        AT_ONCE: it updates the table, because nobody uses the new schema yet.
        BY_SCOPE: nothing; the scope writes the row of progress before it commits.
        NEVER: in a scratch database, where no chunk runs, it only checks the UPDATE.
    """

    LATER = "later"
    AT_ONCE = "at once"
    BY_SCOPE = "by scope"
    NEVER = "never"


class Scope:
    """The whole database.

    Attributes:
        name: different scopes have different names and locks.
        tenant: the tenant, if it is a tenant's schema.
        schemas: the attribute ``schemas`` for a new migration, if any.
        needs_entering: whether its tables are outside the connection's default schema.
        kind: the name of all scopes with the same schema; "" for the only one.
        shared_schema: the schema of tables that belong to no tenant; None: the default schema.
        has_tenants: whether there are many schemas of one kind.
        has_gate: whether its contracts wait until no live instance lacks them.
    """

    name = ""
    tenant: str | None = None
    kind = ""
    schemas: str | None = None
    needs_entering = False
    shared_schema: str | None = None
    has_tenants = False
    has_gate = True

    @property
    def fills(self) -> Fills:
        """What the body of a backfill's migration itself does."""
        return Fills.LATER

    def tables(self, metadata: MetaData) -> MetaData:
        """The models' tables in this scope."""
        return metadata

    def runs(self, schemas: str | None) -> bool:
        """Whether a migration with this attribute ``schemas`` runs in this scope."""
        return True

    def enter(self, connection: Connection, *, for_session: bool = False) -> None:
        """Make unqualified names mean this scope's tables until the transaction ends.

        Args:
            for_session: until the session ends, for a statement outside a transaction.
        """

    def restore(self, connection: Connection) -> None:
        """Called after each body in a transaction: enter again, since the body may have left."""

    def begin(self, connection: Connection) -> None:
        """Called in each transaction that migrates, before ``enter``."""

    def commit(self, connection: Connection) -> None:
        """Called in each transaction that migrates, before it is committed."""

    def of_tenant(self, tenant: str, *, role: bool) -> "Scope":
        """The scope for the chunks of a tenant's backfill; "" is this scope.

        Args:
            role: whether the schema belongs to its own role.
        """
        return self

    @contextmanager
    def shared_tables(self, connection: Connection) -> Iterator[None]:
        """Access the shared tables, by qualified names, in the middle of a transaction."""
        yield

    def count_lagging(self, connection: Connection, revisions: Sequence[str]) -> int:
        """The number of tenants that are at none of these revisions and will be migrated."""
        return 0

    def scratch_steps(self) -> "tuple[Scope, ...]":
        """The scopes to migrate in an empty database, in this order; the last is like this one."""
        return (self,)

    def kinds(self) -> "tuple[Scope, ...]":
        """This scope, and one scope for each other kind of schema."""
        return (self,)

    def find(self, name: str) -> "Scope | None":
        """The scope that an argument of ``migrate diff`` names, if any."""
        return None

    def scratch_kinds(self) -> "tuple[Scope, ...]":
        """This scope, and one for each other kind of schema, in a scratch database."""
        return (self,)

    def wrap(self, body: Body) -> Body:
        """The ``upgrade`` or ``downgrade`` that a run calls instead of ``body``."""
        return body
