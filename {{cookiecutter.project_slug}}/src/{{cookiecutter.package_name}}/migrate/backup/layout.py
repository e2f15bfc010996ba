"""Which files a backup has: one, or in a multi-tenant service perhaps one for each tenant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection


@dataclass(frozen=True)
class Part:
    """What one file of a backup holds.

    Attributes:
        name: what its file is called after; "" when it is the only one.
        schemas: the schemas that it holds; all when there are none.
        without: patterns of schemas that it does not hold.
    """

    name: str = ""
    schemas: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class TenantFacts:
    """One tenant in a backup.

    Attributes:
        part: the name of the part that has its schema.
        row: its row of the registry.
    """

    part: str
    revision: str | None
    fingerprint: str
    row: dict[str, Any]


class Layout:
    """One file, and no tenants."""

    def parts(self, connection: Connection, schemas: Sequence[str] | None) -> list[Part]:
        """The parts of a backup.

        Args:
            schemas: those that are to be saved; None saves the whole database.
        """
        return [Part()]

    def tenants(self, connection: Connection, parts: Sequence[Part]) -> dict[str, TenantFacts]:
        """The tenants that these parts hold, by id."""
        return {}

    def differing(self, connection: Connection, tenants: Mapping[str, TenantFacts]) -> list[str]:
        """Those of these tenants that are not in the database as they were saved."""
        return []
