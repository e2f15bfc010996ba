"""What a run migrates: the whole database or, in a multi-tenant service, one tenant's schema."""

from collections.abc import Callable

from sqlalchemy import Connection, MetaData

Body = Callable[..., None]


class Scope:
    """The whole database.

    Attributes:
        name: different scopes have different names, and locks.
        tenant: whose schema it is, if it is a tenant's.
        schemas: the attribute ``schemas`` that a new migration gets, if any.
        needs_entering: whether its tables are not where the database looks by itself.
    """

    name = ""
    tenant: str | None = None
    schemas: str | None = None
    needs_entering = False

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

    def wrap(self, body: Body) -> Body:
        """The ``upgrade`` or ``downgrade`` that a run calls in place of ``body``."""
        return body
