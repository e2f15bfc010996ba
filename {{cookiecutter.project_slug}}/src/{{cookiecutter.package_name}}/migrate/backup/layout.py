"""The files of a backup: one, or in a multi-tenant service perhaps one for each tenant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection


@dataclass(frozen=True)
class Part:
    """The content of one file of a backup.

    Attributes:
        name: part of the file's name; "" for the only file.
        schemas: its schemas; all if empty.
        without: patterns of schemas that are left out.
    """

    name: str = ""
    schemas: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class TenantFacts:
    """One tenant in a backup.

    Attributes:
        part: the name of the part with its schema.
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
            schemas: the schemas to save; None saves the whole database.
        """
        return [Part()]

    def tenants(self, connection: Connection, parts: Sequence[Part]) -> dict[str, TenantFacts]:
        """The tenants in these parts, by id."""
        return {}

    def differing(self, connection: Connection, tenants: Mapping[str, TenantFacts]) -> list[str]:
        """Those of these tenants whose state in the database differs from the saved one."""
        return []
