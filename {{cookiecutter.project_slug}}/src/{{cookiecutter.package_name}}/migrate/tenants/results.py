"""The results of migrating one tenant, and of a run over all tenants."""

from dataclasses import dataclass, replace
from typing import Self

from ...errors import ActionableError
from ..results import Failable, MigrationResult, after_progress


@dataclass(frozen=True)
class TenantResult(Failable):
    """The result of one tenant.

    Attributes:
        created: whether it did not exist before.
        migrations: names of the migrations that were run or rolled back.
        duration: seconds.
    """

    tenant: str
    success: bool
    created: bool = False
    migrations: tuple[str, ...] = ()
    error: ActionableError | None = None
    duration: float = 0.0


@dataclass(frozen=True)
class AllTenantsResult:
    """The results of the shared schema and of each tenant that was not at the target."""

    public: MigrationResult
    tenants: tuple[TenantResult, ...] = ()

    @property
    def success(self) -> bool:
        """Whether the shared schema and all tenants are at the target."""
        return self.public.success and not self.failed

    @property
    def has_advanced(self) -> bool:
        """Whether anything was migrated."""
        return bool(self.public.migrations) or any(one.migrations for one in self.tenants)

    @property
    def failed(self) -> tuple[TenantResult, ...]:
        """The tenants that failed."""
        return tuple(result for result in self.tenants if not result.success)

    def joined(self, later: Self) -> Self:
        """This run and a later one as one; for a tenant in both, the later result."""
        tenants = {one.tenant: one for one in self.tenants}
        for one in later.tenants:
            former = tenants.get(one.tenant)
            migrations = (*former.migrations, *one.migrations) if former else one.migrations
            tenants[one.tenant] = replace(one, migrations=migrations)
        return replace(
            self, public=self.public.joined(later.public), tenants=tuple(tenants.values())
        )

    def with_error(self, error: ActionableError) -> Self:
        """The same results, failed with this error."""
        error = after_progress(error) if self.has_advanced else error
        return replace(self, public=replace(self.public, success=False, error=error))
