"""How many connections the service keeps."""

from typing import Self

from pydantic import Field, model_validator

from .base import BasePart


class PoolSettings(BasePart):
    """The connection pool of either database."""

    db_pool_min: int | None = Field(
        None,
        ge=1,
        description="Connections kept open once they were needed; DB_POOL_MAX when left out. With"
        " fewer, requests open and close connections under load.",
    )
    db_pool_max: int = Field(10, ge=1, description="Connections open at most.")

    @model_validator(mode="after")
    def _pool_has_room(self) -> Self:
        if self.kept_connections > self.db_pool_max:
            raise ValueError("DB_POOL_MIN is larger than DB_POOL_MAX")
        return self

    @property
    def kept_connections(self) -> int:
        """Connections that stay open once they were needed."""
        return self.db_pool_max if self.db_pool_min is None else self.db_pool_min
