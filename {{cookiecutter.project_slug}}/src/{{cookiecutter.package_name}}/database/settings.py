"""The settings that both kinds of database share."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Environment = Literal["development", "production", "test"]


class CommonDatabaseSettings(BaseSettings):
    """Where the service runs, and how many connections it keeps."""

    # Empty variables count as unset.
    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True)

    needs_admin_key: ClassVar[bool] = False  # whether production does not start without one

    environment: Environment = Field("development", description="development, production or test.")
    db_pool_min: int = Field(2, ge=1, description="Connections kept open.")
    db_pool_max: int = Field(10, ge=1, description="Connections open at most.")

    @model_validator(mode="after")
    def _pool_has_room(self) -> Self:
        if self.db_pool_min > self.db_pool_max:
            raise ValueError("DB_POOL_MIN is larger than DB_POOL_MAX")
        return self

    @property
    def in_production(self) -> bool:
        """Whether unsafe settings stop the start."""
        return self.environment == "production"
