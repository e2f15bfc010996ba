"""The configuration of the engine."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sqlalchemy import MetaData

from .before_run import BeforeRun, nothing
from .bookkeeping import BOOKKEEPING
from .events import Observer
from .patterns import matches
from .scope import Scope


@dataclass(frozen=True)
class MigrationConfig:
    """The configuration of the engine.

    Attributes:
        directory: the folder with ``versions/`` and ``script.py.mako``.
        load_metadata: returns the models' metadata; called when a migration is made or run.
        lock_timeout: seconds to wait for another process that migrates.
        table_lock_timeout: seconds that a statement may wait for a table's lock (PostgreSQL). While
            it waits, every query on that table waits behind it.
        table_lock_retries: number of retries when a table is still locked after that time.
        scope: the part of the database that is migrated.
        tenant_roles: whether each tenant's schema belongs to its own role.
        tenants_per_connection: number of tenants after which a connection is replaced.
        history_table: name of the table of applied migrations.
        version_table: name of Alembic's table.
        service: name of the service, stored in the history; "" is not compared.
        load_release: returns the version of the service, which is stored in the history.
        verify: ``after``: a run that applied or undid something compares the schema with what the
            migrations make, and fails if they differ. ``tenants``: it only checks that the tenants'
            schemas are equal.
        excluded: names that are not compared, with all their parts; ``*`` stands for any text.
        lint_small_tables: tables that are so small that every statement is quick.
        force_contracts: run contracts although instances without them live.
        awaits_backfills: whether a contract waits for the backfills before it; false only in a
            scratch database, where backfills never run.
        runs_backfills: whether a run continues with backfills after it has released the lock.
        backfill_pause: seconds between two chunks of a backfill.
        keeps_runs: whether a run that wrote no row is recorded in the history.
        observer: gets the events of a run.
        before_run: called before a run that has something to do; it may make a backup.
    """

    directory: Path
    load_metadata: Callable[[], MetaData]
    lock_timeout: float = 60.0
    table_lock_timeout: float = 5.0
    table_lock_retries: int = 5
    scope: Scope = field(default_factory=Scope)
    tenant_roles: bool = False
    tenants_per_connection: int = 500
    history_table: str = "migration_history"
    version_table: str = "alembic_version"
    service: str = ""
    load_release: Callable[[], str | None] = lambda: None
    verify: Literal["off", "tenants", "after"] = "off"
    excluded: tuple[str, ...] = ()
    lint_small_tables: tuple[str, ...] = ()
    force_contracts: bool = False
    awaits_backfills: bool = True
    runs_backfills: bool = True
    backfill_pause: float = 0.1
    keeps_runs: bool = True
    observer: Observer = field(default_factory=Observer)
    before_run: BeforeRun = nothing

    def leaves_out(self, table: str) -> bool:
        """Whether a table is not the service's: the engine's, other tools', or ``excluded``."""
        return matches(table, self.excluded_names)

    @property
    def excluded_names(self) -> tuple[str, ...]:
        """Names that are not compared; ``*`` stands for any text."""
        tables = (self.history_table, self.version_table, "service_instances", "migration_progress")
        return (*BOOKKEEPING, *tables, *self.excluded)

    @property
    def versions(self) -> Path:
        """The folder of the migration files."""
        return self.directory / "versions"


def default_config() -> MigrationConfig:
    """The service's own configuration, for callers that pass none.

    Only here the engine asks the service for something; elsewhere its callers pass everything.
    """
    from ..migrations import config

    return config
