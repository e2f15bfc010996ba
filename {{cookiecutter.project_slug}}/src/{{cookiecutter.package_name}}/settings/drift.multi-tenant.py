"""How the database is compared with what its migrations make."""

from typing import Literal

from pydantic import Field

from .base import BasePart, CommaSeparated


class DriftSettings(BasePart):
    """Comparing schemas."""

    migration_verify: Literal["off", "after"] = Field(
        "after",
        description="after: a run that applied or undid something compares the schemas that it changed "
        "with what the migrations make in an empty database, and exits 1 when they differ; nothing is "
        "undone. Where no such database can be made, tenants are compared with those that Alembic "
        "migrated. off: nothing is compared.",
    )
    migration_excluded: CommaSeparated = Field(
        (),
        description="Tables and other objects, separated by commas, that belong to other programs and "
        "are not compared; * stands for any text: spatial_*,audit_log",
    )
