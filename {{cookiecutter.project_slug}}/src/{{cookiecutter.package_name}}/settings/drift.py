"""Settings of the comparison of the database with its migrations."""

from typing import Literal

from pydantic import Field

from .base import BasePart, CommaSeparated


class DriftSettings(BasePart):
    """Comparing schemas."""

    migration_verify: Literal["off", "after"] = Field(
        "off",
        description="after: a run that applied or undid a migration compares the schema with the "
        "one that the migrations make in an empty database, and exits 1 if they differ; it undoes "
        "nothing.",
    )
    migration_excluded: CommaSeparated = Field(
        (),
        description="Tables and other objects of other programs, which are not compared, "
        "separated by commas; * stands for any text: spatial_*,audit_log",
    )
