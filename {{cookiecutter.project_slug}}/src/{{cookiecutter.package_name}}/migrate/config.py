"""What the engine is handed."""

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
    """What the engine works on.

    Attributes:
        directory: the folder that holds ``versions/`` and ``script.py.mako``.
        load_metadata: gives the models' metadata; called when a migration is made or run.
        lock_timeout: seconds to wait for another process that migrates.
        table_lock_timeout: seconds that a statement may wait for a table's lock (PostgreSQL). While
            it waits, every query on that table waits behind it.
        table_lock_retries: how often to start again when a table stayed locked.
        scope: the part of the database that is migrated.
        tenant_roles: whether each tenant's schema belongs to a role of its own.
        tenants_per_connection: after how many tenants a connection is replaced by a new one.
        history_table: name of the table that says when what was applied.
        version_table: name of Alembic's table.
        service: name of the service, kept in the history; "" is not compared.
        load_release: gives the version of the service, kept in the history.
        verify: ``after``: a run that applied or undid something compares the schema with what the
            migrations make, and fails when they differ.
        excluded: names that no comparison looks at, with all that hangs on them; ``*`` stands for
            any text.
        lint_small_tables: tables that are so small that nothing takes long on them.
        force_contracts: run contracts although instances that lack them live.
        awaits_backfills: whether a contract waits for the backfills before it; only in a scratch
            database, where they are never run, it does not.
        runs_backfills: whether a run goes on with backfills when it has given the lock back.
        backfill_pause: seconds between two chunks of a backfill.
        keeps_runs: whether a run that wrote no row is kept in the history.
        observer: hears what a run does.
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
    verify: Literal["off", "after"] = "off"
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
        """Whether a table is no part of the service: the engine's, other tools', and ``excluded``."""
        return matches(table, self.excluded_names)

    @property
    def excluded_names(self) -> tuple[str, ...]:
        """Names that no comparison looks at; ``*`` stands for any text."""
        own = (self.history_table, self.version_table, "service_instances", "migration_progress")
        return (*BOOKKEEPING, *own, *self.excluded)

    @property
    def versions(self) -> Path:
        """The folder of the migration files."""
        return self.directory / "versions"


def default_config() -> MigrationConfig:
    """The service's own configuration, for callers that hand over none.

    The one place where the engine asks the service for anything; elsewhere it is handed what it
    needs.
    """
    from ..migrations import config

    return config
