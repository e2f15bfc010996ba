"""What a run migrates: the whole database or, in a multi-tenant service, one tenant's schema."""

from collections.abc import Callable

from sqlalchemy import Connection, MetaData

Body = Callable[..., None]


class Scope:
    """The whole database.

    Attributes:
        name: different scopes have different names, and locks.
        mark: the decorator that a new migration's bodies get, if any.
    """

    name = ""
    mark: str | None = None

    def tables(self, metadata: MetaData) -> MetaData:
        """The models' tables that belong here."""
        return metadata

    def enter(self, connection: Connection) -> None:
        """Make unqualified names mean this scope's tables until the transaction ends."""

    def begin(self, connection: Connection) -> None:
        """Called in each transaction that migrates, before ``enter``."""

    def commit(self, connection: Connection) -> None:
        """Called in each transaction that migrates, before it is committed."""

    def around(self, body: Body) -> Body:
        """The ``upgrade`` or ``downgrade`` that a run calls in place of ``body``."""
        return body
