"""Runs and undoes migrations: under the lock, plan, execute, record.

A run has one or several units; a unit is one transaction. Applying is one unit, unless a migration
must leave its transaction; then each migration is a unit. When undoing, each migration is always a
unit: after a failure a new rollback continues where the last one stopped. The result of a run is
read from the database after each unit.
"""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from ..errors import ActionableError
from . import errors
from .attempt import Attempt
from .backends import backend
from .backends.common import MigrationLock, check_engine
from .backfill import has_backfills
from .before_run import with_way_back
from .config import MigrationConfig
from .folder import Folder, name_of, runs_alone
from .history import HistoryRow, HistoryWriter
from .lock import migration_lock
from .plan import (
    NOTHING_READ,
    DatabaseState,
    Plan,
    check_contracts_known,
    find_ahead,
    make_plan,
    nothing_to_do,
    read_state,
)
from .results import MigrationResult, RunState
from .rolling.gate import Held, pass_gate
from .select import Choice, all_pending
from .snapshots import other_tools
from .watch.other_runs import OtherRun, keep_run, who
from .watch.timings import Timings

if TYPE_CHECKING:
    from alembic.script import Script

RETRY_SECONDS = 0.5
# Errors that are not recorded in the history: the database failed, or another run, which is itself
# recorded, held the lock too long.
NOT_KEPT = ("database-away", "database-lost", "database-refuses", "lock-lost", "lock-timeout")


def upgrade(
    engine: Engine,
    config: MigrationConfig,
    choose: Choice,
    *,
    folder: Folder | None = None,
    allow_changed: bool = False,
) -> MigrationResult:
    """Apply what ``choose`` picks, as one batch."""
    run = _Run(engine, config, choose, folder, is_upgrade=True, allow_changed=allow_changed)
    return run.result()


def downgrade(
    engine: Engine, config: MigrationConfig, choose: Choice, *, folder: Folder | None = None
) -> MigrationResult:
    """Undo what ``choose`` picks, in its order."""
    return _Run(engine, config, choose, folder, is_upgrade=False).result()


@dataclass
class _Run:
    """One run, from taking the lock to the result.

    Attributes:
        began: its start, by ``time.perf_counter``.
        state: the database as last read.
        done: the migrations that the database has recorded, in order.
        batch: the batch that was run or rolled back.
        backup: the backup that was made before, if any.
        baseline: names of migrations that were taken over, when undoing.
        failed: names of the failed migrations.
        is_kept: whether the run is recorded in history although it wrote no row.
        waited: seconds of waiting for the lock.
        retries: number of retries because a table was locked.
        ahead: migrations that a newer release has applied.
        held: migrations that wait at the gate.
    """

    engine: Engine
    config: MigrationConfig
    choose: Choice
    folder: Folder | None
    is_upgrade: bool
    allow_changed: bool = False
    began: float = field(default_factory=time.perf_counter)
    state: DatabaseState = NOTHING_READ
    done: "list[Script]" = field(default_factory=list)
    batch: int | None = None
    backup: str | None = None
    baseline: tuple[str, ...] = ()
    failed: Sequence[str] = ()
    is_kept: bool = False
    waited: float = 0.0
    retries: int = 0
    ahead: tuple[HistoryRow, ...] = ()
    held: Held = field(default_factory=Held)

    def result(self) -> MigrationResult:
        error = None
        try:
            self._run_if_needed()
        except ActionableError as problem:
            error = problem
        except SQLAlchemyError as problem:
            error = backend.explain(self.engine, problem)
        result = MigrationResult(
            success=error is None,
            batch=self.batch if self.done else None,
            migrations=tuple(map(name_of, self.done)),
            error=error,
            duration=time.perf_counter() - self.began,
            baseline=self.baseline,
            ahead=tuple(row.name for row in self.ahead),
            held_back=self.held.names,
            held_by=self.held.by,
            has_backfills=has_backfills(row.phase for row in self.state.history),
        )
        self.config.observer.run_finished(result)
        return result

    def _run_if_needed(self) -> None:
        check_engine(self.engine, backend.DIALECT, backend.DRIVER)
        folder = self.folder or Folder(self.config)
        # The usual start of a service. It needs neither the lock nor Alembic.
        self._read()
        if self.choose is all_pending and nothing_to_do(folder, self.state):
            return
        with self._kept_if_it_fails():
            if self._is_ahead(folder):
                return
            config, began = self.config, time.perf_counter()
            with migration_lock(
                self.engine, config.lock_timeout, config.scope.name, config.observer
            ) as lock:
                self.waited = time.perf_counter() - began
                with self._kept_if_it_fails():
                    self._run(folder, lock)

    def _read(self) -> None:
        self.state = read_state(self.engine, self.config)

    @contextmanager
    def _kept_if_it_fails(self) -> Iterator[None]:
        """Record in the history if the block fails, or is interrupted or refused.

        Refusals are recorded only for runs without a chosen migration: a start, or ``migrate
        latest``.
        """
        try:
            yield
        except KeyboardInterrupt:
            if self.failed:
                self._keep(RunState.FAILED, self.failed, error=self._interrupted())
            raise
        except ActionableError as error:
            if (self.failed or self.choose is all_pending) and error.code not in NOT_KEPT:
                self._keep(RunState.FAILED, self.failed, error=error)
            raise

    def _keep(self, state: RunState, names: Sequence[str], **what: Any) -> None:
        if not self.is_kept and not self.config.scope.name:  # for tenants see BulkMigration
            seconds = time.perf_counter() - self.began
            run = OtherRun(state, names, seconds, backup=self.backup, **what)
            # A refused run has no names, and perhaps not the lock.
            keep_run(self.engine, self.config, run, may_alter=bool(names))
        self.is_kept = True

    def _is_ahead(self, folder: Folder) -> bool:
        """Whether a newer release has applied more; then this release applies nothing."""
        self.ahead = find_ahead(folder, self.state) if self.is_upgrade else ()
        check_contracts_known(self.ahead)
        if self.ahead:
            self.config.observer.schema_ahead([row.with_release for row in self.ahead])
        return bool(self.ahead)

    def _run(self, folder: Folder, lock: MigrationLock) -> None:
        # Another migrator may have changed the database while this one waited.
        self._read()
        if self._is_ahead(folder):
            return
        plan = self._settled_plan(folder, lock)
        if not self.is_upgrade:
            taken_over = (script for script in plan.applied if plan.batch_of(script) is None)
            self.baseline = tuple(map(name_of, taken_over))
        chosen = self._passing_gate(plan, lock)
        if chosen:
            self._begin(plan, chosen)
        for unit in self._units(chosen):
            self._run_unit(plan, unit, lock)
        if self.is_upgrade:
            self._accept_changes(plan, lock)
        if self.held.migrations:
            self._keep(RunState.HELD_BACK, self.held.names, held_by=self.held.by)

    def _settled_plan(self, folder: Folder, lock: MigrationLock) -> Plan:
        """The plan, after history has a row for everything taken over, squashed or replaced."""
        plan = make_plan(folder, self.state)
        if self.is_upgrade and not self.allow_changed:
            check_unchanged(plan)
        # A tenant's rows keep their names: changing them one by one would prevent replaying.
        replaced = plan.state.replaced and not self.config.scope.tenant
        if not (plan.unrecorded() or plan.gone() or replaced):
            return plan
        self._take_over(plan, lock)
        self._read()
        return make_plan(folder, self.state)

    def _begin(self, plan: Plan, chosen: "Sequence[Script]") -> None:
        scope, names = self.config.scope, list(map(name_of, chosen))
        schemas = [scope.name] if scope.tenant else None
        self.backup = self.config.before_run(self.engine, schemas, self._target(plan, chosen))
        if not self.is_upgrade:
            self.batch = plan.batch_of(chosen[0])
        self.config.observer.run_started(names, is_upgrade=self.is_upgrade)

    def _units(self, chosen: "Sequence[Script]") -> "Sequence[Sequence[Script]]":
        if chosen and self.is_upgrade and not any(map(runs_alone, chosen)):
            return [chosen]
        return [[script] for script in chosen]

    def _passing_gate(self, plan: Plan, lock: MigrationLock) -> "Sequence[Script]":
        chosen = self.choose(plan)
        if self.is_upgrade:
            self.held = pass_gate(self.engine, self.config, plan.folder, chosen, lock)
        return self.held.before(chosen)

    def _target(self, plan: Plan, chosen: "Sequence[Script]") -> str:
        left = chosen if self.is_upgrade else [s for s in plan.applied if s not in chosen]
        return left[-1].revision if left else ""

    def _run_unit(self, plan: Plan, unit: "Sequence[Script]", lock: MigrationLock) -> None:
        retries = self.config.table_lock_retries
        while True:
            attempt = Attempt(self.config, unit, is_upgrade=self.is_upgrade)
            writer = HistoryWriter(
                self.config,
                self.state.columns,
                opens_batch=not self.done,
                details=partial(self._details, attempt.timings),
            )
            try:
                attempt.execute(self.engine, plan, lock, writer)
            except Exception as error:
                self._note_done(unit, error)
                if not retries or not backend.timed_out(error) or attempt.left_transaction:
                    failure = self._failure(error, attempt)
                    raise with_way_back(failure, self.backup, self.config.scope.tenant) from error
                self.config.observer.retrying(retries)
                retries -= 1
                self.retries += 1
                time.sleep(RETRY_SECONDS)
            except BaseException as error:
                self._note_done(unit, error)
                self.failed = list(map(name_of, attempt.failed(self.done)))
                error.add_note(str(self._interrupted()))
                raise
            else:
                self._note_done(unit)
                self._check_recorded(unit)
                return

    def _take_over(self, plan: Plan, lock: MigrationLock) -> None:
        writer = HistoryWriter(self.config, self.state.columns)
        gone = plan.gone()
        with self._own_transaction(lock) as connection:
            writer.take_over(connection, plan.unrecorded(), gone)
            replaced = [row for row in plan.state.replaced if row.revision not in gone]
            for one in plan.folder.squashed:
                rows = [row for row in replaced if row.revision in one.replaces]
                writer.note_replaced(connection, rows, one.name, one.revision)

    def _accept_changes(self, plan: Plan, lock: MigrationLock) -> None:
        if changed := plan.changed():
            writer = HistoryWriter(self.config, self.state.columns)
            with self._own_transaction(lock) as connection:
                for row, path in changed:
                    writer.accept_file(connection, row, path)

    @contextmanager
    def _own_transaction(self, lock: MigrationLock) -> Iterator[Connection]:
        with (
            backend.migrating(self.engine, self.config, lock.verify) as connection,
            connection.begin(),
        ):
            yield connection

    def _note_done(self, unit: "Sequence[Script]", error: BaseException | None = None) -> None:
        """Read the database's record of a unit: only the database knows what was committed."""
        try:
            self._read()
        except ActionableError as silence:
            raise errors.database_lost(list(map(name_of, unit)), error or silence) from error
        rows = self.state.rows
        self.done += [
            script
            for script in unit
            if script not in self.done and (script.revision in rows) is self.is_upgrade
        ]
        if self.is_upgrade and self.done:
            first = rows.get(self.done[0].revision)
            self.batch = first.batch if first else None

    def _check_recorded(self, unit: "Sequence[Script]") -> None:
        if lost := [name_of(script) for script in unit if script not in self.done]:
            in_memory = self.engine.url.database in (None, "", ":memory:")
            raise errors.not_recorded(lost, in_memory)

    def _failure(self, error: Exception, attempt: Attempt) -> ActionableError:
        failed = attempt.failed(self.done)
        names, impact = list(map(name_of, failed)), self._impact(attempt)
        self.failed = names
        if backend.was_interrupted(error):
            return self._interrupted()
        is_first = self.is_upgrade and not attempt.left_transaction and not self.state.heads
        if is_first and backend.is_there_already(error):
            tools = other_tools(self.engine, self.config).values()
            return errors.tables_without_history(names[0], error, tools, self.config.scope.tenant)
        if isinstance(error, ActionableError):
            problem = f"{', '.join(names)}: {error.problem}"
            return ActionableError(error.code, problem, f"{error.impact} {impact}", error.solution)
        command = "migrate latest" if self.is_upgrade else "migrate rollback"
        paths = [script.path for script in failed]
        refusal = backend.refusal(error)
        return errors.migration_failed(names, error, impact, paths, command, refusal)

    def _interrupted(self) -> ActionableError:
        return errors.interrupted(list(map(name_of, self.done)), is_upgrade=self.is_upgrade)

    def _details(self, timings: Timings) -> str | None:
        """The details of a migration for history; none for a tenant's."""
        if self.config.scope.name:
            return None
        how = {"waited": round(self.waited, 3), "retries": self.retries, "backup": self.backup}
        return json.dumps(who() | how | {"statements": timings.take()})

    def _impact(self, attempt: Attempt) -> str:
        number = len(self.done)
        if number == 1:
            impact = "1 migration before it completed and is not undone."
        elif number:
            impact = f"{number} migrations before it completed and are not undone."
        elif attempt.left_transaction:
            impact = f"It is {'not' if self.is_upgrade else 'still'} recorded as applied."
        else:
            impact = "Nothing was changed: the whole batch was rolled back."
        if attempt.left_transaction:
            impact += f" {attempt.left_transaction}: its changes before the error remain."
        return impact


def check_unchanged(plan: Plan) -> None:
    """Refuse applied migrations whose code has changed.

    Raises:
        ActionableError: files-changed.
    """
    if changed := plan.changed():
        names = [row.name for row, _ in changed]
        raise errors.files_changed(names, is_newest=names == [name_of(plan.applied[-1])])
