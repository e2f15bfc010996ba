"""The number of the service's database connections."""

from typing import Self

from pydantic import Field, model_validator

from .base import BasePart


class PoolSettings(BasePart):
    """The connection pool, for SQLite and PostgreSQL."""

    db_pool_min: int = Field(2, ge=1, description="Database connections kept open.")
    db_pool_max: int = Field(10, ge=1, description="Maximum number of open database connections.")

    @model_validator(mode="after")
    def _pool_has_room(self) -> Self:
        if self.db_pool_min > self.db_pool_max:
            raise ValueError("DB_POOL_MIN is larger than DB_POOL_MAX")
        return self
