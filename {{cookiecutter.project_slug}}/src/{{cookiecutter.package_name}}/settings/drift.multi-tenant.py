"""Settings of the comparison of the database with its migrations."""

from typing import Literal

from pydantic import Field

from .base import BasePart, CommaSeparated


class DriftSettings(BasePart):
    """Comparing schemas."""

    migration_verify: Literal["off", "tenants", "after"] = Field(
        "tenants",
        description="tenants: after a run over tenants, one query compares the schemas of those that "
        "it migrated with each other; the run exits 1 if one differs, and undoes nothing. after: "
        "the run compares these and the shared schema with what the migrations make in an empty "
        "database. off: nothing is compared.",
    )
    migration_excluded: CommaSeparated = Field(
        (),
        description="Tables and other objects of other programs, which are not compared, "
        "separated by commas; * stands for any text: spatial_*,audit_log",
    )
