"""The database this service was made for. The rest of the service names none."""

from typing import ClassVar

from pydantic import Field

from . import postgresql
from .postgresql import NEW_ID, UuidType, connect, insert

__all__ = ["NEW_ID", "DatabaseSettings", "UuidType", "connect", "insert"]


class DatabaseSettings(postgresql.DatabaseSettings):
    """Where the database is, and how tenants are told apart."""

    needs_admin_key: ClassVar[bool] = True

    tenant_from_host: bool = Field(
        False,
        description="Take the tenant from the first label of the host name: acme.example.com.",
    )
    tenant_roles: bool = Field(
        False, description="Give each tenant a database role that can reach nothing else."
    )
