"""Settings of rolling deploys."""

from pydantic import Field

from .base import Seconds
from .migrations import MigrationSettings


class RollingSettings(MigrationSettings):
    """The part of a running instance in a rolling deploy."""

    auto_contract: bool | None = Field(
        None,
        description="Let a running instance apply contracts when all older instances have ended. "
        "Default: as AUTO_MIGRATE in production, otherwise false.",
    )

    auto_contract_interval: Seconds = Field(
        30, gt=0, description="Seconds between two checks for a contract that may be applied."
    )

    migration_backfill_pause: Seconds = Field(
        0.1, ge=0, description="Seconds between two chunks of a backfill."
    )

    @property
    def runs_contracts(self) -> bool:
        """Whether this process applies contracts while it serves."""
        if self.auto_contract is None:
            return self.in_production and self.auto_migrate
        return self.auto_contract
