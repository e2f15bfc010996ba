"""What operators get."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from ..web.pagination import Page


class ErrorDetails(BaseModel):
    """Why something failed."""

    code: str = Field(examples=["migration-failed"])
    problem: str
    impact: str
    solution: str


class StatementDetails(BaseModel):
    """A statement of a migration, without values."""

    statement: str = Field(examples=["CREATE INDEX users_email ON users (email)"])
    seconds: float = Field(examples=[1.25])
    rows: int | None = Field(description="How many it wrote or returned, where the driver says.")


class RunDetails(BaseModel):
    """A run of migrations."""

    model_config = ConfigDict(from_attributes=True)

    key: str = Field(examples=["7.0"], description="Names its place in the list.")
    state: str = Field(examples=["applied"])
    batch: int | None = Field(examples=[3])
    migrations: list[str] = Field(examples=[["001_create_users_table"]])
    started_at: datetime
    duration: float = Field(description="Seconds.")
    undone_at: datetime | None
    host: str | None = Field(examples=["web-1"])
    pid: int | None
    release: str | None = Field(examples=["0.1.0"])
    waited: float = Field(description="Seconds that it waited for another migrator.")
    retries: int = Field(description="How often a table stayed locked.")
    statements: list[StatementDetails] = Field(description="The slowest.")
    notes: list[str]
    error: ErrorDetails | None
    times: int = Field(description="How often it ended so, one after the other.")
    held_by: list[str] = Field(description="What it waited for, where it was held back.")
    tenants: int | None = Field(
        description="Of a run that migrated tenants, how many.", examples=[1000]
    )
    tenants_failed: int = Field(description="How many it could not.", examples=[0])
    backup: str | None = Field(description="The one that was made before.")


class StatusDetails(BaseModel):
    """What the database has and what it has not."""

    sentence: str = Field(examples=["3 migrations applied, none pending."])
    current: str | None = Field(examples=["003"])
    applied: int
    pending: list[str]
    held_back: list[str] = Field(description="What waits behind a contract that may not run yet.")
    held_by: list[str] = Field(description="What it waits for.")
    problem: ErrorDetails | None


class BackfillDetails(BaseModel):
    """A backfill that is not finished."""

    model_config = ConfigDict(from_attributes=True)

    migration: str = Field(examples=["004_fill_full_name"])
    revision: str = Field(examples=["004"])
    table: str = Field(examples=["users"])
    done: int = Field(description="Rows that it has passed.", examples=[120_000])
    total: int | None = Field(
        description="Rows that were there when it began; null before.", examples=[500_000]
    )
    seconds: float = Field(description="That it has taken so far.", examples=[61.5])
    rate: float | None = Field(description="Rows in a second.", examples=[1951.2])
    left: float | None = Field(description="Seconds that the rest takes.", examples=[194.8])
    error: str | None = Field(description="What stopped it the last time, until it goes on.")
    tenants: int = Field(description="In how many tenants' schemas it is.", examples=[0])
    tenants_left: int = Field(description="In how many of them it is not finished.", examples=[0])


class Migrations(Page[RunDetails]):
    """The status, and a page of the runs, newest first."""

    status: StatusDetails


class InstanceDetails(BaseModel):
    """A process that serves."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    revision: str = Field(examples=["003"], description="The last one of its migration files.")
    version: str | None = Field(examples=["0.1.0"])
    host: str = Field(examples=["web-1"])
    started_at: datetime
    beat_at: datetime = Field(description="When it was last heard of.")


class DifferenceDetails(BaseModel):
    """One thing in which the database is not what its migrations make."""

    model_config = ConfigDict(from_attributes=True)

    kind: str = Field(examples=["index"])
    name: str = Field(examples=["users_email_idx"])
    change: str = Field(examples=["different"], description="missing, unexpected or different.")
    fact: str = Field(examples=["valid"], description="Which fact differs; empty: the whole thing.")
    expected: str | None = Field(description="The fact's value by the migrations.")
    found: str | None = Field(description="The fact's value in the database.")
    sentence: str = Field(examples=["index users_email_idx is not valid"])
    cause: str = Field(description="What could have caused it.")
    action: str = Field(description="What to do about it.")


class TenantsCompared(BaseModel):
    """How many tenants' schemas are what the migrations make."""

    compared: int = Field(examples=[1000])
    differ: int = Field(examples=[0], description="``tenant verify`` lists them.")
    not_compared: int = Field(description="Those that are not up to date.", examples=[0])

    @classmethod
    def of(cls, counts: tuple[int, int, int]) -> Self:
        """From what a comparison found."""
        compared, differ, not_compared = counts
        return cls(compared=compared, differ=differ, not_compared=not_compared)


class Drift(Page[DifferenceDetails]):
    """The last comparison of the database with its migrations, and a page of the differences."""

    in_step: bool | None = Field(
        None, description="Whether nothing differs; null where this instance has not compared yet."
    )
    verified_at: datetime | None = Field(None, description="When the comparison began.")
    seconds: float | None = Field(None, description="How long it took.")
    pending: list[str] = Field([], description="Migrations that are not applied, nor compared.")
    changed_since_run: bool | None = Field(
        None,
        description="Whether the schema is another than the last run left; null: not recorded.",
    )
    tenants: TenantsCompared | None = Field(None, description="Null where there are none.")
