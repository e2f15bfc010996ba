"""The number of the service's database connections."""

from typing import Self

from pydantic import Field, model_validator

from .base import BasePart


class PoolSettings(BasePart):
    """The connection pool, for SQLite and PostgreSQL."""

    db_pool_min: int | None = Field(
        None,
        ge=1,
        description="Database connections that stay open after use. Default: DB_POOL_MAX. With fewer, "
        "requests open and close connections under load.",
    )
    db_pool_max: int = Field(10, ge=1, description="Maximum number of open database connections.")

    @model_validator(mode="after")
    def _pool_has_room(self) -> Self:
        if self.kept_connections > self.db_pool_max:
            raise ValueError("DB_POOL_MIN is larger than DB_POOL_MAX")
        return self

    @property
    def kept_connections(self) -> int:
        """Number of connections that stay open after use."""
        return self.db_pool_max if self.db_pool_min is None else self.db_pool_min
