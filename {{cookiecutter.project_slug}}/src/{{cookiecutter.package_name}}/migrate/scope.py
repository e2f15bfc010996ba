"""What a run migrates: the whole database or, in a multi-tenant service, one tenant's schema."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum

from sqlalchemy import Connection, MetaData

Body = Callable[..., None]


class Fills(StrEnum):
    """What the migration of a backfill does itself.

    Attributes:
        LATER: it writes the row that says that its rows are to be updated.
        AT_ONCE: it updates them, because nobody uses the new schema yet.
        NOTED: nothing; the scope writes the row when it commits.
        NEVER: in a scratch database, where no chunk is run, it lets the UPDATE be read.
    """

    LATER = "later"
    AT_ONCE = "at once"
    NOTED = "noted"
    NEVER = "never"


class Scope:
    """The whole database.

    Attributes:
        name: different scopes have different names, and locks.
        tenant: whose schema it is, if it is a tenant's.
        schemas: the attribute ``schemas`` that a new migration gets, if any.
        needs_entering: whether its tables are not where the database looks by itself.
        kind: what the scopes are called that all have the same schema; "" for the only one.
        shared_schema: where tables are that belong to no tenant; None: where the database looks.
        has_tenants: whether there are many schemas of one kind.
        has_gate: whether its contracts wait until no instance lacks them.
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
        """What the migration of a backfill does itself."""
        return Fills.LATER

    def tables(self, metadata: MetaData) -> MetaData:
        """The models' tables that belong here."""
        return metadata

    def runs(self, schemas: str | None) -> bool:
        """Whether a migration with this attribute ``schemas`` is for this scope."""
        return True

    def enter(self, connection: Connection, *, for_session: bool = False) -> None:
        """Make unqualified names mean this scope's tables until the transaction ends.

        Args:
            for_session: until the session ends, for a statement outside a transaction.
        """

    def begin(self, connection: Connection) -> None:
        """Called in each transaction that migrates, before ``enter``."""

    def commit(self, connection: Connection) -> None:
        """Called in each transaction that migrates, before it is committed."""

    def of_tenant(self, tenant: str, *, role: bool) -> "Scope":
        """Where the chunks of a tenant's backfill run; "" is the scope itself.

        Args:
            role: whether the schema belongs to a role of its own.
        """
        return self

    @contextmanager
    def left(self, connection: Connection) -> Iterator[None]:
        """Reach the shared tables, by their whole names, in the middle of a transaction."""
        yield

    def lagging(self, connection: Connection, revisions: Sequence[str]) -> int:
        """How many tenants are at none of these revisions, and will be taken there."""
        return 0

    def in_scratch(self) -> "tuple[Scope, ...]":
        """The scopes to migrate, in this order, in an empty database to have the last one there."""
        return (self,)

    def kinds(self) -> "tuple[Scope, ...]":
        """This scope and, for each other kind of schema that the migrations make, one."""
        return (self,)

    def find(self, name: str) -> "Scope | None":
        """The scope that a side of ``migrate diff`` names, if it names one."""
        return None

    def as_scratch(self) -> "tuple[Scope, ...]":
        """The scopes of a scratch database in which migrations are tried."""
        return (self,)

    def wrap(self, body: Body) -> Body:
        """The ``upgrade`` or ``downgrade`` that a run calls in place of ``body``."""
        return body
