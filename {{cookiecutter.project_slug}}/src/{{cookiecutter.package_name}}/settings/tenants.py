"""Settings of tenants. A multi-tenant service has these in addition to its database's settings."""

from typing import ClassVar, Literal

from pydantic import Field

from ..errors import ActionableError
from . import postgresql
from . import tenant_errors as errors
from .web import WebSettings


class DatabaseSettings(postgresql.DatabaseSettings, WebSettings):
    """The database and its tenants."""

    # This schema does not exist: code outside of a tenant finds no table, not even one of public.
    default_search_path: ClassVar[str | None] = "no_tenant"

    tenant_from_host: bool = Field(
        False,
        description="If X-Tenant-ID is missing, take the tenant from the first label of the host "
        "name (acme.example.com).",
    )
    tenant_roles: bool = Field(
        False,
        description="Run each tenant's statements as a separate database role, which can reach "
        "only this tenant. For existing tenants run: tenant roles",
    )

    backup_tenants: Literal["all", "each"] | None = Field(
        None,
        description="all: a backup is one file. each: one file for each tenant and one for the "
        "rest; several are written in parallel. Default: each with TENANT_ROLES, because then no "
        "login may read all tenants; otherwise all. BACKUP_KEEP counts backups of the whole "
        "database and of each tenant separately.",
    )
    tenants_per_connection: int = Field(
        500,
        ge=1,
        description="Replace a database connection after this number of tenants. The server's "
        "process caches data about each tenant's tables: about 45 kB per tenant.",
    )

    @property
    def backs_up_each_tenant(self) -> bool:
        """Whether a backup has one file for each tenant."""
        default = "each" if self.tenant_roles else "all"
        return (self.backup_tenants or default) == "each"

    def problems(self, *, serving: bool = True) -> list[ActionableError]:
        """Adds: no ADMIN_KEY, which creating a tenant over HTTP requires.

        Raises:
            ActionableError: DATABASE_URL is not a URL of this database.
        """
        found = super().problems(serving=serving)
        if serving and self.admin_key is None:
            found.append(errors.admin_key_missing())
        return found
