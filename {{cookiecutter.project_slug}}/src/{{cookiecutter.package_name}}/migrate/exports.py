"""The names that other packages import from ``migrate``. The package has no others.

Alembic and the linter are slow to import: none of these modules imports them before a function
needs them.
"""

from .backfill import Backfill
from .backfilling import run_backfills
from .backup import (
    BackupOptions,
    DirectoryStore,
    Manifest,
    Restored,
    create_backup,
    forget_kept,
    list_backups,
    list_kept,
    restore_backup,
)
from .before_run import BeforeRun
from .checks.baseline import BaselineResult, take_over
from .checks.diff import diff_schemas, read_schema_files, write_schema_files
from .checks.verify import VerifyResult, verify_schema
from .commands import migrate_down, migrate_up, rollback_migrations, run_migrations
from .config import MigrationConfig
from .confirm import confirm_undoing
from .drift import Difference as SchemaDifference
from .drift import Snapshot
from .events import Observer, Several, Silent
from .linting import lint_migrations, lint_pending, refuse_findings, show_report
from .lock import get_lock_holder, unlock
from .offline import migration_sql
from .results import (
    BackfillProgress,
    BackfillsResult,
    CompletedMigration,
    LockHolder,
    MigrationResult,
    MigrationStatus,
    NewMigration,
    RunState,
    SeedsResult,
)
from .rolling.in_step import keep_in_step, stop_keeping
from .rolling.instances import Instance, Registration, get_instances, make_instances_table
from .scope import Scope
from .seeds import make_seed, run_seeds
from .snapshots import snapshot_schema
from .status import get_migration_status, wait_for_gate
from .watch.other_runs import keep_refusal
from .watch.runs import MigrationRun, read_runs
from .watch.stats import MigrationStats, MigrationTime, TimesCompared, compare_times, read_stats
from .watch.timings import without_values
from .writing.added import added_migrations
from .writing.make import make_migration
from .writing.squash import SquashResult, squash_migrations

__all__ = [
    "Backfill",
    "BackfillProgress",
    "BackfillsResult",
    "BackupOptions",
    "BaselineResult",
    "BeforeRun",
    "CompletedMigration",
    "DirectoryStore",
    "Instance",
    "LockHolder",
    "Manifest",
    "MigrationConfig",
    "MigrationResult",
    "MigrationRun",
    "MigrationStats",
    "MigrationStatus",
    "MigrationTime",
    "NewMigration",
    "Observer",
    "Registration",
    "Restored",
    "RunState",
    "SchemaDifference",
    "Scope",
    "SeedsResult",
    "Several",
    "Silent",
    "Snapshot",
    "SquashResult",
    "TimesCompared",
    "VerifyResult",
    "added_migrations",
    "compare_times",
    "confirm_undoing",
    "create_backup",
    "diff_schemas",
    "forget_kept",
    "get_instances",
    "get_lock_holder",
    "get_migration_status",
    "keep_in_step",
    "keep_refusal",
    "lint_migrations",
    "lint_pending",
    "list_backups",
    "list_kept",
    "make_instances_table",
    "make_migration",
    "make_seed",
    "migrate_down",
    "migrate_up",
    "migration_sql",
    "read_runs",
    "read_schema_files",
    "read_stats",
    "refuse_findings",
    "restore_backup",
    "rollback_migrations",
    "run_backfills",
    "run_migrations",
    "run_seeds",
    "show_report",
    "snapshot_schema",
    "squash_migrations",
    "stop_keeping",
    "take_over",
    "unlock",
    "verify_schema",
    "wait_for_gate",
    "without_values",
    "write_schema_files",
]
