"""How tenants are told apart. A multi-tenant service has these beside its database's settings."""

from typing import ClassVar, Literal

from pydantic import Field

from ..errors import ActionableError
from . import postgresql
from . import tenant_errors as errors
from .web import WebSettings


class DatabaseSettings(postgresql.DatabaseSettings, WebSettings):
    """The database and its tenants."""

    # Nothing is in it: who left his tenant finds no table, least of all one of public.
    default_search_path: ClassVar[str | None] = "no_tenant"

    tenant_from_host: bool = Field(
        False,
        description="Take the tenant from the first label of the host name (acme.example.com) "
        "when X-Tenant-ID is missing.",
    )
    tenant_roles: bool = Field(
        False,
        description="Run each tenant's statements as a database role of its own, which can reach "
        "nothing else. For tenants that exist: tenant roles",
    )

    backup_tenants: Literal["all", "each"] | None = Field(
        None,
        description="all: a backup is one file. each: one file for each tenant and one for the rest, "
        "several written at a time. Default: each with TENANT_ROLES, since no login may read all "
        "tenants then; else all. BACKUP_KEEP counts those of the whole database, and those of a tenant, "
        "apart.",
    )
    tenants_per_connection: int = Field(
        500,
        ge=1,
        description="Replace a database connection by a new one after so many tenants. The server's "
        "process keeps what it learned of each tenant's tables: about 45 kB a tenant.",
    )

    @property
    def backs_up_each_tenant(self) -> bool:
        """Whether a backup has one file for each tenant."""
        default = "each" if self.tenant_roles else "all"
        return (self.backup_tenants or default) == "each"

    def problems(self, *, serving: bool = True) -> list[ActionableError]:
        """Adds: no ADMIN_KEY, without which nobody can make a tenant over HTTP.

        Raises:
            ActionableError: DATABASE_URL is not an address of this database.
        """
        found = super().problems(serving=serving)
        if serving and self.admin_key is None:
            found.append(errors.admin_key_missing())
        return found
