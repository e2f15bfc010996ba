"""The JSON answers for operators."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from ..web.pagination import Page


class ErrorDetails(BaseModel):
    """The error of a failed run."""

    code: str = Field(examples=["migration-failed"])
    problem: str
    impact: str
    solution: str


class StatementDetails(BaseModel):
    """A statement of a migration, without values."""

    statement: str = Field(examples=["CREATE INDEX users_email ON users (email)"])
    seconds: float = Field(examples=[1.25])
    rows: int | None = Field(description="Rows written or returned, if the driver reports them.")


class RunDetails(BaseModel):
    """A run of migrations."""

    model_config = ConfigDict(from_attributes=True)

    key: str = Field(examples=["7.0"], description="Its key in the list.")
    state: str = Field(examples=["applied"])
    batch: int | None = Field(examples=[3])
    migrations: list[str] = Field(examples=[["001_create_users_table"]])
    started_at: datetime
    duration: float = Field(description="Seconds.")
    undone_at: datetime | None
    host: str | None = Field(examples=["web-1"])
    pid: int | None
    release: str | None = Field(examples=["0.1.0"])
    waited: float = Field(description="Seconds of waiting for another migrator.")
    retries: int = Field(description="Number of retries because a table was locked.")
    statements: list[StatementDetails] = Field(description="The slowest statements.")
    notes: list[str]
    error: ErrorDetails | None
    times: int = Field(description="How often in a row it ended this way.")
    held_by: list[str] = Field(description="What it waited for, if it was held back.")
    tenants: int | None = Field(
        description="Number of migrated tenants, in a run over tenants.", examples=[1000]
    )
    tenants_failed: int = Field(description="Number of failed tenants.", examples=[0])
    backup: str | None = Field(description="The backup that was made before the run.")


class StatusDetails(BaseModel):
    """The applied and the missing migrations of the database."""

    sentence: str = Field(examples=["3 migrations applied, none pending."])
    current: str | None = Field(examples=["003"])
    applied: int
    pending: list[str]
    held_back: list[str] = Field(
        description="Migrations that wait for a contract that may not run yet."
    )
    held_by: list[str] = Field(description="What they wait for.")
    problem: ErrorDetails | None


class BackfillDetails(BaseModel):
    """An unfinished backfill."""

    model_config = ConfigDict(from_attributes=True)

    migration: str = Field(examples=["004_fill_full_name"])
    revision: str = Field(examples=["004"])
    table: str = Field(examples=["users"])
    done: int = Field(description="Finished rows.", examples=[120_000])
    total: int | None = Field(
        description="Rows at its start; null before that.", examples=[500_000]
    )
    seconds: float = Field(description="Seconds of work so far.", examples=[61.5])
    rate: float | None = Field(description="Rows per second.", examples=[1951.2])
    left: float | None = Field(description="Estimated seconds for the rest.", examples=[194.8])
    error: str | None = Field(description="The error that stopped it, until it continues.")
    tenants: int = Field(description="Number of tenants that have it.", examples=[0])
    tenants_left: int = Field(
        description="Number of tenants in which it is unfinished.", examples=[0]
    )


class Migrations(Page[RunDetails]):
    """The status, and a page of the runs, newest first."""

    status: StatusDetails


class InstanceDetails(BaseModel):
    """A serving process."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    revision: str = Field(examples=["003"], description="The last revision of its migration files.")
    version: str | None = Field(examples=["0.1.0"])
    host: str = Field(examples=["web-1"])
    started_at: datetime
    beat_at: datetime = Field(description="Time of its last heartbeat.")


class DifferenceDetails(BaseModel):
    """One difference between the database and its migrations."""

    model_config = ConfigDict(from_attributes=True)

    kind: str = Field(examples=["index"])
    name: str = Field(examples=["users_email_idx"])
    change: str = Field(examples=["different"], description="missing, unexpected or different.")
    fact: str = Field(
        examples=["valid"], description="The property that differs; empty: the whole object."
    )
    expected: str | None = Field(description="The value that the migrations give.")
    found: str | None = Field(description="The value in the database.")
    sentence: str = Field(examples=["index users_email_idx is not valid"])
    cause: str = Field(description="The possible cause.")
    action: str = Field(description="The action to take.")


class TenantsCompared(BaseModel):
    """The number of tenants whose schema matches the migrations, and of others."""

    compared: int = Field(examples=[1000])
    differ: int = Field(examples=[0], description="``tenant verify`` lists them.")
    not_compared: int = Field(description="Tenants that are not up to date.", examples=[0])

    @classmethod
    def of(cls, counts: tuple[int, int, int]) -> Self:
        """From the numbers of a comparison."""
        compared, differ, not_compared = counts
        return cls(compared=compared, differ=differ, not_compared=not_compared)


class Drift(Page[DifferenceDetails]):
    """The last comparison of the database with its migrations, and a page of the differences."""

    in_step: bool | None = Field(
        None, description="Whether nothing differs; null if this instance has not compared yet."
    )
    verified_at: datetime | None = Field(None, description="Start of the comparison.")
    seconds: float | None = Field(None, description="Duration of the comparison.")
    pending: list[str] = Field([], description="Migrations that are not applied and not compared.")
    changed_since_run: bool | None = Field(
        None,
        description="Whether the schema changed since the last run; null: not recorded.",
    )
    tenants: TenantsCompared | None = Field(None, description="Null without tenants.")
