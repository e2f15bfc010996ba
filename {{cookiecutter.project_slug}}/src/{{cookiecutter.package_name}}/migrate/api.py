"""The functions of the engine. The package is the public interface to them."""

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
    each migration is one transaction. Backfills run afterwards, when others may migrate again;
    then the migrations that waited for them are applied as a separate batch.

    Args:
        config: the configuration; default: this service's own migrations.
        allow_changed: continue although applied files were edited, and store their new
            checksums.
    """
    config = config or default_config()
    result = upgrade_and_fill(engine, config, select.all_pending, allow_changed=allow_changed)
    return verified(engine, config, result)


def migrate_up(
    engine: Engine, name: str | None = None, *, config: MigrationConfig | None = None
) -> MigrationResult:
    """Apply the next pending migration as its own batch (knex migrate:up).

    Args:
        name: file name, revision or the name given to ``make``; it must be the next.
    """
    choice = select.next_pending if name is None else select.pending_called(name)
    config = config or default_config()
    return verified(engine, config, upgrade_and_fill(engine, config, choice))


def migrate_down(
    engine: Engine, name: str | None = None, *, config: MigrationConfig | None = None
) -> MigrationResult:
    """Undo the newest applied migration (knex migrate:down).

    Args:
        name: file name, revision or the name given to ``make``; it must be the newest applied.
    """
    choice = select.newest if name is None else select.applied_called(name)
    config = config or default_config()
    return verified(engine, config, downgrade(engine, config, choice))


def rollback_migrations(
    engine: Engine, *, everything: bool = False, config: MigrationConfig | None = None
) -> MigrationResult:
    """Undo the newest batch, last applied first (knex migrate:rollback).

    Each migration is undone in its own transaction: after a failure the finished ones stay undone,
    and a new rollback continues.

    Args:
        everything: undo all batches.
    """
    choice = select.every_batch if everything else select.newest_batch
    config = config or default_config()
    return verified(engine, config, downgrade(engine, config, choice))


def get_migration_status(
    engine: Engine, *, config: MigrationConfig | None = None
) -> MigrationStatus:
    """Completed and pending migrations. Writes nothing and takes no lock.

    Raises:
        ActionableError: the database does not answer, or the folder has errors.
    """
    check_engine(engine, backend.DIALECT, backend.DRIVER)
    config = config or default_config()
    folder = Folder(config)
    status = with_backfills(engine, config, make_status(folder, read_state(engine, config)))
    return with_gate(engine, config, folder, status)


def get_instances(engine: Engine, *, config: MigrationConfig | None = None) -> list[Instance]:
    """The serving processes, oldest first, including dead ones that are not removed yet.

    Raises:
        ActionableError: the database does not answer.
    """
    check_engine(engine, backend.DIALECT, backend.DRIVER)
    return read_instances(engine, config or default_config())


def make_instances_table(engine: Engine, *, config: MigrationConfig | None = None) -> None:
    """Create the table of serving processes, if it is missing.

    Raises:
        ActionableError: the database does not answer, or refuses.
    """
    check_engine(engine, backend.DIALECT, backend.DRIVER)
    make_table(engine, config or default_config())


def wait_for_gate(
    engine: Engine, seconds: float, *, config: MigrationConfig | None = None
) -> MigrationStatus:
    """Wait until nothing is held back or the time is over, and return the status.

    Raises:
        ActionableError: the database does not answer, or the folder has errors.
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
    """Write a migration file with the difference between the models and the database.

    Args:
        empty: leave it blank.
        merge: join several heads.
        plain: write what Alembic generates. Otherwise the file is safe for a live site: operations
            that block others run outside a transaction, in a separate file.
        phase: ``expand``, ``backfill`` or ``contract``.

    Raises:
        ActionableError: the phase or the name is invalid, or the folder has errors.
    """
    from .writing import make

    config = config or default_config()
    options = {"empty": empty, "merge": merge, "plain": plain}
    return make.make_migration(engine, config, name, phase=phase, **options)


def keep_in_step(
    table: str, old: str, new: str, *, to_new: str | None = None, to_old: str | None = None
) -> None:
    """In a migration: create triggers that copy each written value of one column to the other.

    An insert that sets ``new`` comes from new code, and ``old`` gets the value; otherwise ``new``
    gets the value of ``old``. So ``new`` must have no default while the triggers exist. If an
    update changes both, ``new`` wins. Existing rows do not change until they are updated.

    On SQLite ``old`` must be nullable, because a trigger there fills it only after the insert. A
    rebuild of the table drops its triggers, so rebuild it first.

    Args:
        to_new: SQL for the new value, from the row's columns. Default: the old value.
        to_old: SQL for the old value, from the row's columns. Default: the new value.
    """
    from .rolling import in_step

    in_step.keep_in_step(table, old, new, to_new=to_new, to_old=to_old)


def stop_keeping(table: str, old: str, new: str) -> None:
    """In a migration: undo :func:`keep_in_step`; does nothing if that was not called."""
    from .rolling import in_step

    in_step.stop_keeping(table, old, new)


def migration_sql(engine: Engine, *, config: MigrationConfig | None = None) -> str:
    """The SQL that :func:`run_migrations` would run on this database now. Changes nothing.

    Raises:
        ActionableError: a migration cannot be written as SQL, or the folder has errors.
    """
    from . import offline as dry_run

    return dry_run.migration_sql(engine, config or default_config())


def snapshot_schema(engine: Engine, *, config: MigrationConfig | None = None) -> Snapshot:
    """The database's current schema, without the tables of the engine and of other tools.

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

    Earlier migrations are applied there first. The service's own tables are only read, and only
    to find the pending migrations.

    Args:
        names: the migrations to lint; default, if ``since`` is not set either: the pending ones.
        since: a migration: it and those that it needs are not linted, all others are.
        server: the scratch database is created on this server (PostgreSQL); default: the engine's
            own server.

    Raises:
        ActionableError: no-scratch-database, name-unknown, a migration fails on an empty database,
            lint-ignore-unusable, or the folder has errors.
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
    """Lint pending migrations, if the database is in use.

    Args:
        next_only: lint only the next migration, as :func:`migrate_up` applies only that.
        server: as for :func:`lint_migrations`; called only if there is something to lint.

    Returns:
        None if nothing is pending, or nothing was ever applied: then nobody uses the database.

    Raises:
        ActionableError: as :func:`lint_migrations`.
    """
    status = get_migration_status(engine, config=config)
    if status.problem or not status.pending or not status.completed:
        return None
    names = status.pending[:1] if next_only else None
    return lint_migrations(engine, names, server=server and server(), config=config)


def refuse_findings(report: "Report | None") -> None:
    """Refuse to run migrations with findings.

    Raises:
        ActionableError: lint-findings.
    """
    from . import linting

    linting.refuse_findings(report)


def keep_refusal(
    engine: Engine, error: ActionableError, *, config: MigrationConfig | None = None
) -> None:
    """Record in the history, if there is one, that a run was refused before its start."""
    run = OtherRun(RunState.FAILED, (), 0.0, error=error)
    keep_run(engine, config or default_config(), run)


def added_migrations(config: MigrationConfig | None = None) -> list[str] | None:
    """Names of the migrations that this git branch adds to the default branch, committed or not.

    Returns:
        None if git cannot tell: there is no git, no repository, or no default branch.
    """
    from .writing import added

    return added.added_migrations(config or default_config())


def show_report(report: "Report | None", form: str, path: Callable[[Path], Path]) -> str:
    """The report of linting as text.

    Args:
        report: None if there was nothing to lint.
        form: ``text``, ``json`` or ``github``.
        path: makes the printed form of a file's path.
    """
    from . import linting

    return linting.show(report, form, path)


def make_seed(directory: Path, name: str) -> Path:
    """Write a blank seed with the next number.

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
        scope: the scope for unqualified table names.

        Returns:
            The names of the seeds that ran.

    Raises:
        ActionableError: seed-unknown, seed-does-not-load, seed-failed.
    """
    from . import seeds

    return seeds.run_seeds(engine, directory, name, scope)


def get_lock_holder(engine: Engine) -> LockHolder | None:
    """The current migrator.

    Raises:
        ActionableError: the database does not answer.
    """
    check_engine(engine, backend.DIALECT, backend.DRIVER)
    return backend.Lock(engine).holder()


def unlock(engine: Engine) -> LockHolder | None:
    """End the session of the current migrator, and the session that runs its statements.

    Raises:
        ActionableError: cannot-end-holder: SQLite cannot end another process's session.
    """
    check_engine(engine, backend.DIALECT, backend.DRIVER)
    return backend.Lock(engine).end_holder()
