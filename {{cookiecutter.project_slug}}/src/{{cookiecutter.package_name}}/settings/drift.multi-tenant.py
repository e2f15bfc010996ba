"""How the database is compared with what its migrations make."""

from typing import Literal

from pydantic import Field

from .base import BasePart, CommaSeparated


class DriftSettings(BasePart):
    """Comparing schemas."""

    migration_verify: Literal["off", "tenants", "after"] = Field(
        "off",
        description="tenants: a run over tenants looks, by one query, whether all have the same schema "
        "as those that Alembic migrated; it exits 1 when one has not, and nothing is undone. after: it "
        "compares these and the shared schema with what the migrations make in an empty database.",
    )
    migration_excluded: CommaSeparated = Field(
        (),
        description="Tables and other objects, separated by commas, that belong to other programs and "
        "are not compared; * stands for any text: spatial_*,audit_log",
    )
