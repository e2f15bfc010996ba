"""Runs and undoes migrations: under the lock, plan, execute, record."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from .config import MigrationConfig, check_engine, context_options
from .folder import check_one_head, name_of, runs_alone
from .history import HistoryWriter, accept_change, adopt
from .lock import MigrationLock, migration_lock
from .plan import Plan, find, make_plan, nothing_to_do, read_stand
from .results import MigrationError, MigrationResult, cause
from .transaction import cannot_reach, migrating

if TYPE_CHECKING:
    from alembic.runtime.migration import RevisionStep
    from alembic.script import Script

log = logging.getLogger(__name__)

LOCK_NOT_AVAILABLE = "55P03"  # PostgreSQL's code for a lock_timeout that struck
RETRY_SECONDS = 0.5

# Picks what a run does; both raise MigrationError when it cannot be done.
Choice = Callable[[Plan], "Sequence[Script]"]


def upgrade(
    engine: Engine, config: MigrationConfig, choose: Choice, *, allow_changed: bool = False
) -> MigrationResult:
    """Apply what ``choose`` picks, as one batch."""
    return _Run(engine, config, choose, is_upgrade=True, allow_changed=allow_changed).result()


def downgrade(engine: Engine, config: MigrationConfig, choose: Choice) -> MigrationResult:
    """Undo what ``choose`` picks, in its order."""
    return _Run(engine, config, choose, is_upgrade=False).result()


def all_pending(plan: Plan) -> "Sequence[Script]":
    """Everything pending."""
    check_one_head(plan.scripts)
    return plan.pending


def next_pending(plan: Plan) -> "Sequence[Script]":
    """The next one."""
    return all_pending(plan)[:1]


def pending_called(name: str) -> Choice:
    """The one of this name, if it is next."""

    def choose(plan: Plan) -> "Sequence[Script]":
        check_one_head(plan.scripts)
        script = find((*plan.applied, *plan.pending), name)
        if script in plan.applied:
            raise MigrationError(
                f"{name_of(script)} is already applied.", "Nothing was run.", "See: migrate list"
            )
        if script is not plan.pending[0]:
            raise MigrationError(
                f"{name_of(script)} is not next: {name_of(plan.pending[0])} comes before it.",
                "Nothing was run: migrations form a chain, and each stands on the one before.",
                "Run what comes before it: migrate up",
            )
        return [script]

    return choose


def newest_batch(plan: Plan) -> "Sequence[Script]":
    """The newest batch, last applied first."""
    return plan.newest_batch()


def newest(plan: Plan) -> "Sequence[Script]":
    """The newest applied one."""
    return plan.applied[::-1][:1]


def everything(plan: Plan) -> "Sequence[Script]":
    """All that is applied, last applied first."""
    return plan.applied[::-1]


def applied_called(name: str) -> Choice:
    """The one of this name, if it is the newest applied one."""

    def choose(plan: Plan) -> "Sequence[Script]":
        script = find((*plan.applied, *plan.pending), name)
        if script in plan.pending:
            raise MigrationError(
                f"{name_of(script)} is not applied.", "Nothing was undone.", "See: migrate list"
            )
        if script is not plan.applied[-1]:
            raise MigrationError(
                f"{name_of(script)} is not the newest: {name_of(plan.applied[-1])} was applied after it.",
                "Nothing was undone: migrations form a chain, and each stands on the one before.",
                "Undo what came after it: migrate down",
            )
        return [script]

    return choose


class _Run:
    """One run, from taking the lock to the result."""

    def __init__(
        self,
        engine: Engine,
        config: MigrationConfig,
        choose: Choice,
        *,
        is_upgrade: bool,
        allow_changed: bool = False,
    ) -> None:
        self.engine = engine
        self.config = config
        self.choose = choose
        self.is_upgrade = is_upgrade
        self.allow_changed = allow_changed
        self.writer = HistoryWriter()
        self.batch: int | None = None
        self.done: list[Script] = []

    def result(self) -> MigrationResult:
        began = time.perf_counter()
        error = None
        try:
            check_engine(self.engine)
            if not self._is_idle():
                with migration_lock(
                    self.engine, self.config.lock_timeout, self.config.scope.name
                ) as lock:
                    self._run(lock)
        except MigrationError as problem:
            error = problem
        except SQLAlchemyError as problem:
            error = cannot_reach(self.engine, problem)
        return MigrationResult(
            success=error is None,
            batch=self.batch if self.done else None,
            migrations=tuple(name_of(script) for script in self.done),
            error=error,
            duration=time.perf_counter() - began,
        )

    def _is_idle(self) -> bool:
        # How a service usually starts. It needs neither the lock nor Alembic.
        if self.choose is not all_pending:
            return False
        return nothing_to_do(self.config, read_stand(self.engine, self.config))

    def _run(self, lock: MigrationLock) -> None:
        plan = make_plan(self.config, read_stand(self.engine, self.config))
        if self.is_upgrade and not self.allow_changed:
            check_unchanged(plan)
        if plan.unrecorded() or plan.gone():
            self._adopt(plan, lock)
            plan = make_plan(self.config, read_stand(self.engine, self.config))
        chosen = list(self.choose(plan))
        if not self.is_upgrade and chosen:
            self.batch = plan.batch_of(chosen[0])
        # A rollback keeps what it did: it goes on where it stopped.
        whole = self.is_upgrade and not any(map(runs_alone, chosen))
        retries = self.config.table_lock_retries
        while left := [script for script in chosen if script not in self.done]:
            try:
                self._execute(plan, left, lock, whole=whole)
            except Exception as error:
                self._count_done(left, error)
                failed = self._failed(left, whole=whole)
                if not retries or not _lock_timed_out(error) or any(map(runs_alone, failed)):
                    raise self._failure(error, failed, whole=whole) from error
                log.warning("A table stayed locked; trying again (%d left)", retries)
                retries -= 1
                time.sleep(RETRY_SECONDS)
            else:
                self._count_done(left)
                if len(self.done) < len(chosen):
                    raise _forgotten(self.engine)
        if self.is_upgrade:
            self._accept(plan, lock)

    def _accept(self, plan: Plan, lock: MigrationLock) -> None:
        if changed := plan.changed():
            with migrating(self.engine, self.config, lock.verify) as connection, connection.begin():
                for row, path in changed:
                    accept_change(connection, row, path)

    def _adopt(self, plan: Plan, lock: MigrationLock) -> None:
        with migrating(self.engine, self.config, lock.verify) as connection, connection.begin():
            adopt(connection.execute, plan.unrecorded(), plan.gone())

    def _execute(
        self, plan: Plan, scripts: "Sequence[Script]", lock: MigrationLock, *, whole: bool
    ) -> None:
        from alembic.config import Config
        from alembic.runtime.environment import EnvironmentContext

        if not self.done:
            self.writer = HistoryWriter()
        steps = [self._step(plan, script) for script in scripts]
        with (
            migrating(self.engine, self.config, lock.verify) as connection,
            EnvironmentContext(Config(), plan.scripts, fn=lambda heads, context: steps) as env,
        ):
            env.configure(
                connection=connection,
                transaction_per_migration=not whole,
                **context_options(self.config, self.engine.dialect.name, self.writer),
            )
            with env.begin_transaction():
                env.run_migrations()

    def _step(self, plan: Plan, script: "Script") -> "RevisionStep":
        from alembic.runtime.migration import RevisionStep

        step = RevisionStep(plan.scripts.revision_map, script, self.is_upgrade)
        step.migration_fn = self.config.scope.around(step.migration_fn)
        return step

    def _count_done(self, scripts: "Sequence[Script]", error: Exception | None = None) -> None:
        # The database knows best which of them were committed.
        try:
            history = read_stand(self.engine, self.config).history
        except MigrationError as silence:
            raise _lost(scripts, error or silence) from error
        batches = {row.revision: row.batch for row in history}
        self.done += [s for s in scripts if (s.revision in batches) is self.is_upgrade]
        if self.is_upgrade and self.done:
            self.batch = batches.get(self.done[0].revision)

    def _failed(self, scripts: "Sequence[Script]", *, whole: bool) -> "Sequence[Script]":
        if not whole:
            return [s for s in scripts if s not in self.done][:1] or scripts[-1:]
        # Where every one came through, it was the commit of them all that failed.
        return [s for s in scripts if s.revision not in self.writer.done][:1] or scripts

    def _failure(
        self, error: Exception, failed: "Sequence[Script]", *, whole: bool
    ) -> MigrationError:
        names = ", ".join(map(name_of, failed))
        if isinstance(error, MigrationError):
            return MigrationError(f"{names}: {error.problem}", error.impact, error.solution)
        impact = "Nothing was changed: the whole batch was undone."
        if not whole:
            impact = f"{len(self.done)} migrations before it are done and stay so."
        if any(map(runs_alone, failed)):
            impact += " It runs outside a transaction: what it did before the error stays too."
        return MigrationError(
            f"{names} failed: {cause(error)}",
            impact,
            f"Correct {', '.join(script.path for script in failed)} and run it again: "
            f"{'migrate latest' if self.is_upgrade else 'migrate rollback'}",
        )


def check_unchanged(plan: Plan) -> None:
    """Refuse applied migrations whose files are not what they were.

    Raises:
        MigrationError: with the names of all of them.
    """
    if changed := plan.changed():
        names = ", ".join(row.name for row, _ in changed)
        raise MigrationError(
            f"{len(changed)} migrations changed after they were applied: {names}",
            "Nothing was run: this database no longer matches its files.",
            "Restore the files and write a new migration, or, if the change does not matter: "
            "migrate latest --allow-changed",
        )


def _lock_timed_out(error: Exception) -> bool:
    return isinstance(error, DBAPIError) and (
        getattr(error.orig, "sqlstate", None) == LOCK_NOT_AVAILABLE
    )


def _lost(scripts: "Sequence[Script]", error: Exception) -> MigrationError:
    return MigrationError(
        f"The database was lost while {name_of(scripts[0])} or what follows ran: {cause(error)}",
        "What was not committed is undone; nobody can say yet how far it came.",
        "When the database answers again, see how far it came: migrate status",
    )


def _forgotten(engine: Engine) -> MigrationError:
    return MigrationError(
        f"The database {engine.url.render_as_string()} forgot what was written to it.",
        "Nothing is migrated: each of the engine's connections sees an empty database.",
        "Give an in-memory database one connection: create_engine(…, poolclass=StaticPool)",
    )
