"""What the engine can do, each in one function. The package itself is its public face."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from ..errors import ActionableError
from . import select
from .backends import backend
from .backends.common import check_engine
from .backfill import Backfill, with_backfills
from .backfilling import run_backfills, upgrade_and_fill
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
from .checks.verify import VerifyResult, verified, verify_schema
from .config import MigrationConfig, default_config
from .confirm import confirm_undoing
from .drift import Difference as SchemaDifference
from .drift import Snapshot
from .events import Observer, Several, Silent
from .folder import Folder
from .plan import make_status, read_state
from .results import (
    BackfillProgress,
    CompletedMigration,
    LockHolder,
    MigrationResult,
    MigrationStatus,
    NewMigration,
    RunState,
)
from .rolling.gate import with_gate
from .rolling.instances import Instance, Registration, make_table, read_instances
from .runner import downgrade
from .scope import Scope
from .snapshots import live_snapshot
from .watch.other_runs import OtherRun, keep_run
from .watch.runs import MigrationRun, read_runs
from .watch.stats import MigrationStats, MigrationTime, TimesCompared, compare_times, read_stats
from .watch.timings import without_values
from .writing.squash import SquashResult, squash_migrations

if TYPE_CHECKING:
    from .lint import Report

GATE_POLL_SECONDS = 0.5

__all__ = [
    "Backfill",
    "BackfillProgress",
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


def run_migrations(
    engine: Engine, *, config: MigrationConfig | None = None, allow_changed: bool = False
) -> MigrationResult:
    """Apply all pending migrations as one batch (knex migrate:latest).

    The whole run is one transaction, unless a pending migration says ``transaction = False``; then
    each migration is its own. Backfills are worked off afterwards, when others may migrate again,
    and then what waited for them is applied, as a batch of its own.

    Args:
        config: what to work on; this service's own migrations when left out.
        allow_changed: go on although files changed after they were applied, and remember them as
            they are now.
    """
    config = config or default_config()
    result = upgrade_and_fill(engine, config, select.all_pending, allow_changed=allow_changed)
    return verified(engine, config, result)


def migrate_up(
    engine: Engine, name: str | None = None, *, config: MigrationConfig | None = None
) -> MigrationResult:
    """Apply the next pending migration as its own batch (knex migrate:up).

    Args:
        name: file name, revision or the name typed at ``make``; it must be the next.
    """
    choice = select.next_pending if name is None else select.pending_called(name)
    config = config or default_config()
    return verified(engine, config, upgrade_and_fill(engine, config, choice))


def migrate_down(
    engine: Engine, name: str | None = None, *, config: MigrationConfig | None = None
) -> MigrationResult:
    """Undo the newest applied migration (knex migrate:down).

    Args:
        name: file name, revision or the name typed at ``make``; it must be the newest applied.
    """
    choice = select.newest if name is None else select.applied_called(name)
    config = config or default_config()
    return verified(engine, config, downgrade(engine, config, choice))


def rollback_migrations(
    engine: Engine, *, everything: bool = False, config: MigrationConfig | None = None
) -> MigrationResult:
    """Undo the newest batch, last applied first (knex migrate:rollback).

    Each migration is undone in its own transaction: a rollback that fails keeps what it did and can
    be continued.

    Args:
        everything: undo all batches.
    """
    choice = select.every_batch if everything else select.newest_batch
    config = config or default_config()
    return verified(engine, config, downgrade(engine, config, choice))


def get_migration_status(
    engine: Engine, *, config: MigrationConfig | None = None
) -> MigrationStatus:
    """What is completed and what is pending. Writes nothing and takes no lock.

    Raises:
        ActionableError: the database does not answer, or the folder is not in order.
    """
    check_engine(engine, backend.DIALECT, backend.DRIVER)
    config = config or default_config()
    folder = Folder(config)
    status = with_backfills(engine, config, make_status(folder, read_state(engine, config)))
    return with_gate(engine, config, folder, status)


def get_instances(engine: Engine, *, config: MigrationConfig | None = None) -> list[Instance]:
    """The processes that serve, the oldest first; those that count as dead until they are removed.

    Raises:
        ActionableError: the database does not answer.
    """
    check_engine(engine, backend.DIALECT, backend.DRIVER)
    return read_instances(engine, config or default_config())


def make_instances_table(engine: Engine, *, config: MigrationConfig | None = None) -> None:
    """Make the table of the processes that serve, where it is missing.

    Raises:
        ActionableError: the database does not answer, or refuses.
    """
    check_engine(engine, backend.DIALECT, backend.DRIVER)
    make_table(engine, config or default_config())


def wait_for_gate(
    engine: Engine, seconds: float, *, config: MigrationConfig | None = None
) -> MigrationStatus:
    """The status, once nothing is held back any more or the time is over.

    Raises:
        ActionableError: the database does not answer, or the folder is not in order.
    """
    until = time.monotonic() + seconds
    while (status := get_migration_status(engine, config=config)).held_back:
        if time.monotonic() >= until:
            break
        time.sleep(GATE_POLL_SECONDS)
    return status


def make_migration(
    engine: Engine,
    name: str,
    *,
    empty: bool = False,
    merge: bool = False,
    plain: bool = False,
    phase: str = "expand",
    config: MigrationConfig | None = None,
) -> NewMigration:
    """Write a migration file, filled in from the difference between models and database.

    Args:
        empty: leave it blank.
        merge: join several last migrations into one.
        plain: as Alembic writes it. Else it is written so that a live site goes on: what keeps
            others waiting runs outside a transaction, in a file of its own.
        phase: ``expand``, ``backfill`` or ``contract``.

    Raises:
        ActionableError: the phase is none, the name cannot be a file name, or the folder is not in order.
    """
    from .writing import make

    config = config or default_config()
    options = {"empty": empty, "merge": merge, "plain": plain}
    return make.make_migration(engine, config, name, phase=phase, **options)


def keep_in_step(
    table: str, old: str, new: str, *, to_new: str | None = None, to_old: str | None = None
) -> None:
    """In a migration: copy what is written to one of two columns into the other, by triggers.

    Whoever inserts a row with ``new`` set is taken for new code, and ``old`` follows; otherwise
    ``new`` follows. So give ``new`` no default while the two are in step. Of an update that
    changes both, ``new`` counts. Rows that are there already stay as they are until they are updated.

    On SQLite ``old`` must take NULL: a trigger there fills it only after the row is in. A table that
    is rebuilt loses its triggers, so rebuild it first.

    Args:
        to_new: SQL that makes the new value of the row's columns. Default: the old value.
        to_old: SQL that makes the old value of the row's columns. Default: the new value.
    """
    from .rolling import in_step

    in_step.keep_in_step(table, old, new, to_new=to_new, to_old=to_old)


def stop_keeping(table: str, old: str, new: str) -> None:
    """In a migration: undo :func:`keep_in_step`; nothing to do where it was not called."""
    from .rolling import in_step

    in_step.stop_keeping(table, old, new)


def migration_sql(engine: Engine, *, config: MigrationConfig | None = None) -> str:
    """The SQL that :func:`run_migrations` would run on this database now. Touches nothing.

    Raises:
        ActionableError: a migration cannot be written as SQL, or the folder is not in order.
    """
    from . import offline as dry_run

    return dry_run.migration_sql(engine, config or default_config())


def snapshot_schema(engine: Engine, *, config: MigrationConfig | None = None) -> Snapshot:
    """The database's schema as it is now, without the tables of the engine and of other tools.

    Raises:
        ActionableError: the database does not answer.
    """
    check_engine(engine, backend.DIALECT, backend.DRIVER)
    return live_snapshot(engine, config or default_config())


def lint_migrations(
    engine: Engine,
    names: Sequence[str] | None = None,
    *,
    since: str | None = None,
    server: Engine | None = None,
    config: MigrationConfig | None = None,
) -> "Report":
    """Run migrations on a scratch database, and report what they would do to a live one.

    What comes before them is applied there first. The service's own tables are only read, and only
    to see what is pending.

    Args:
        names: these migrations; what is pending when both this and ``since`` are left out.
        since: a migration: all but it and what it needs are linted.
        server: the scratch database is made on its server (PostgreSQL); on the engine's own when
            left out.

    Raises:
        ActionableError: no-scratch-database, name-unknown, a migration fails on an empty database,
            lint-ignore-unusable, or the folder is not in order.
    """
    from . import linting

    check_engine(engine, backend.DIALECT, backend.DRIVER)
    config = config or default_config()
    if names is not None:
        runs = linting.called(names)
    elif since is not None:
        runs = linting.since(since)
    else:
        runs = linting.pending(engine, config)
    return linting.lint_runs(server or engine, config, runs)


def lint_pending(
    engine: Engine,
    *,
    next_only: bool = False,
    server: Callable[[], Engine] | None = None,
    config: MigrationConfig | None = None,
) -> "Report | None":
    """Lint what is pending, where it could hurt somebody.

    Args:
        next_only: the next one alone, which is all that :func:`migrate_up` applies.
        server: as for :func:`lint_migrations`; called only when there is something to lint.

    Returns:
        None when nothing is pending, or nothing was ever applied: then nobody uses the database.

    Raises:
        ActionableError: as :func:`lint_migrations`.
    """
    status = get_migration_status(engine, config=config)
    if status.problem or not status.pending or not status.completed:
        return None
    names = status.pending[:1] if next_only else None
    return lint_migrations(engine, names, server=server and server(), config=config)


def refuse_findings(report: "Report | None") -> None:
    """Refuse to run what was found to hurt a live site.

    Raises:
        ActionableError: lint-findings.
    """
    from . import linting

    linting.refuse_findings(report)


def keep_refusal(
    engine: Engine, error: ActionableError, *, config: MigrationConfig | None = None
) -> None:
    """Keep in the history, where there is one, that a run was refused before it began."""
    run = OtherRun(RunState.FAILED, (), 0.0, error=error)
    keep_run(engine, config or default_config(), run)


def added_migrations(config: MigrationConfig | None = None) -> list[str] | None:
    """Names of the migrations that this git branch adds to the default branch, committed or not.

    Returns:
        None when git cannot say it: there is no git, no repository, or no default branch.
    """
    from .writing import added

    return added.added_migrations(config or default_config())


def show_report(report: "Report | None", form: str, path: Callable[[Path], Path]) -> str:
    """What linting found.

    Args:
        report: None when there was nothing to lint.
        form: ``text``, ``json`` or ``github``.
        path: how a migration file is named.
    """
    from . import linting

    return linting.show(report, form, path)


def make_seed(directory: Path, name: str) -> Path:
    """Write a blank seed, numbered one above the last.

    Raises:
        ActionableError: name-unusable, seed-taken.
    """
    from . import seeds

    return seeds.make_seed(directory, name)


def run_seeds(
    engine: Engine, directory: Path, name: str | None = None, *, scope: Scope | None = None
) -> list[str]:
    """Run all seeds in file order, or the one called ``name``, each in one transaction.

    Args:
        scope: whose tables unqualified names mean.

    Returns:
        The names of the seeds that were run.

    Raises:
        ActionableError: seed-unknown, seed-does-not-load, seed-failed.
    """
    from . import seeds

    return seeds.run_seeds(engine, directory, name, scope)


def get_lock_holder(engine: Engine) -> LockHolder | None:
    """Who migrates now.

    Raises:
        ActionableError: the database does not answer.
    """
    check_engine(engine, backend.DIALECT, backend.DRIVER)
    return backend.Lock(engine).holder()


def unlock(engine: Engine) -> LockHolder | None:
    """End the session of whoever migrates now, and the session that runs its statements.

    Raises:
        ActionableError: cannot-end-holder: SQLite cannot end another process's session.
    """
    check_engine(engine, backend.DIALECT, backend.DRIVER)
    return backend.Lock(engine).end_holder()
