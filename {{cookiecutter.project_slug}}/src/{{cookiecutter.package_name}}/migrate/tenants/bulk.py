"""Migrates many tenants to one revision.

For each revision, two tenants (the canaries) go through Alembic and are recorded. The others replay
the statements that both executed. A tenant that is not replayed, or whose replay fails, goes
through Alembic separately.
"""

import logging
import time
from collections import deque
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from math import inf
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import psycopg
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from ...errors import ActionableError
from ...words import count
from .. import runner as run
from ..backends import backend
from ..config import MigrationConfig
from ..events import Observer
from ..folder import CONTRACT, Folder, name_of, phase_of
from ..lock import migration_lock
from ..plan import Plan
from ..results import RunState
from ..select import refuse_baseline
from ..watch.other_runs import OtherRun, keep_run
from .backfills import TenantBackfills
from .connections import RenewedConnections
from .creation_lock import wait_for_creations
from .inputs import find_outside_input
from .recording import Recording
from .registry import Registry, TenantAtRevision, TenantStatus
from .replay import Replay, execute
from .results import TenantResult
from .scope import TenantScope, has_citus, schema_of

if TYPE_CHECKING:
    from alembic.script import Script

log = logging.getLogger(__name__)

WORKERS = 2
CANARIES = 2  # tenants that must execute the same before others replay it
REPORT_SECONDS = 5.0


class BulkResult(NamedTuple):
    """The results of the tenants that were handled, and the error that ended the run, if any."""

    tenants: tuple[TenantResult, ...]
    error: ActionableError | None = None


@dataclass
class BulkMigration:
    """Migrates many tenants to one revision."""

    engine: Engine
    config: MigrationConfig
    folder: Folder
    target: str | None
    is_upgrade: bool

    def __post_init__(self) -> None:
        self.chain = self.folder.chain
        revisions = [script.revision for script in self.chain]
        self.wanted = revisions[: revisions.index(self.target) + 1] if self.target else []
        self.unwanted = revisions[len(self.wanted) :]
        service = self.config.service
        self.backfills = TenantBackfills(self.chain, service, is_upgrade=self.is_upgrade)

    def migrate_all(
        self,
        max_failures: int | None = None,
        *,
        only: Collection[str] | None = None,
    ) -> BulkResult:
        """Migrate all tenants that are not at the target to it.

        Args:
            max_failures: stop after this number of failed tenants.
            only: the ids of the tenants to migrate; default: all.
        """
        progress = _Progress(max_failures, self.config.observer)
        try:
            with migration_lock(self.engine, self.config.lock_timeout):
                wait_for_creations(self.engine)
                self.backfills.prepare(self.engine)
                # Read again under the lock: nobody else migrates them now.
                tenants = [t for t in self._not_at_target() if only is None or t.id in only]
                if tenants:
                    self._migrate(tenants, progress)
        except ActionableError as error:
            return BulkResult(tuple(progress.results), error)
        return BulkResult(tuple(progress.results))

    def _migrate(self, tenants: list[TenantAtRevision], progress: "_Progress") -> None:
        waiting = self.backfills.unfinished(self.engine)
        tenants.sort(key=lambda tenant: tenant.id in waiting)
        backup = self.config.before_run(self.engine, self._touched(tenants), self.target or "")
        began = time.perf_counter()
        progress.total = len(tenants)
        alike = groupby(tenants, lambda one: (one.id in waiting, one.revision, one.exists))
        keep = partial(self._keep, progress.results, began, backup)
        try:
            for _, group in alike:
                self._migrate_group(deque(group), progress)
        except ActionableError as error:
            keep(error)
            raise
        keep(None)

    def _keep(
        self,
        results: Sequence[TenantResult],
        began: float,
        backup: str | None,
        stopped_by: ActionableError | None,
    ) -> None:
        """Record the run in the history of public; the tenants' own histories have rows."""
        if not results:
            return
        failed = [
            ActionableError(e.code, f"{result.tenant}: {e.problem}", e.impact, e.solution)
            for result in results
            if (e := result.error) is not None
        ]
        names = {name for result in results for name in result.migrations}
        state = RunState.APPLIED if self.is_upgrade else RunState.ROLLED_BACK
        run = OtherRun(
            RunState.FAILED if failed or stopped_by else state,
            [name for name in map(name_of, self.chain) if name in names],
            time.perf_counter() - began,
            error=failed[0] if failed else stopped_by,
            tenants=len(results) - len(failed),
            tenants_failed=len(failed),
            backup=backup,
        )
        keep_run(self.engine, self.config, run, may_alter=True)

    def migrate_one(
        self, tenant: str, *, display_name: str | None = None, recording: Recording | None = None
    ) -> TenantResult:
        """Migrate one tenant to the target, through Alembic.

        Args:
            display_name: the name, if the tenant may be new.
            recording: records the executed statements.
        """
        began = time.perf_counter()
        scope = TenantScope(
            tenant,
            self.target,
            display_name=display_name,
            role=self.config.tenant_roles,
            version_table=self.config.version_table,
            known_revisions={script.revision for script in self.chain} if display_name else None,
            recording=recording,
            backfills=self.backfills,
        )
        observer = self.config.observer.for_tenant(tenant)
        scoped = replace(self.config, scope=scope, observer=observer)
        choose = partial(self._choose, scope)
        folder = self.folder.for_next_run()
        with recording or nullcontext():
            if self.is_upgrade:
                # Changed files are checked for public; a tenant uses the files without a check.
                result = run.upgrade(self.engine, scoped, choose, folder=folder, allow_changed=True)
            else:
                result = run.downgrade(self.engine, scoped, choose, folder=folder)
        error = result.error
        if error is None and not result.migrations:
            error = self._correct_row(scoped, scope)
        elif error is not None and scope.has_begun:
            self._record_failure(tenant, error)
        return TenantResult(
            tenant=tenant,
            success=error is None,
            created=self.is_upgrade and name_of(self.chain[0]) in result.migrations,
            migrations=result.migrations,
            error=error,
            duration=time.perf_counter() - began,
        )

    def _choose(self, scope: TenantScope, plan: Plan) -> "Sequence[Script]":
        if not self.is_upgrade:
            undone = (s for s in plan.applied[::-1] if s.revision not in self.wanted)
            return refuse_baseline(plan, list(undone))
        scope.is_new = not plan.applied
        chosen = [script for script in plan.pending if script.revision in self.wanted]
        return chosen if scope.is_new else self._until_filled(scope.tenant, chosen)

    def _until_filled(self, tenant: str, chosen: "list[Script]") -> "list[Script]":
        """The migrations before the first contract that waits for a backfill of this tenant."""
        if not self.backfills or not any(phase_of(script) == CONTRACT for script in chosen):
            return chosen
        waits = tenant in self.backfills.unfinished(self.engine)
        for place, script in enumerate(chosen):
            if waits and phase_of(script) == CONTRACT:
                return chosen[:place]
            waits = waits or script in self.backfills
        return chosen

    def _not_at_target(self) -> list[TenantAtRevision]:
        # A tenant that has only a part of the squashed migrations gets an error.
        parts = [revision for one in self.folder.squashed for revision in one.older]
        known = [*self.wanted, *parts]
        if not self.is_upgrade:
            known = [*self.unwanted, *self.wanted[-1:]]
        with backend.reading(self.engine) as connection:
            return Registry(connection).not_at_target(self.target, known, with_new=self.is_upgrade)

    def _touched(self, tenants: list[TenantAtRevision]) -> list[str] | None:
        """The schemas that this run changes; None for all, since public follows a rollback."""
        return [schema_of(tenant.id) for tenant in tenants] if self.is_upgrade else None

    def _migrate_group(self, tenants: deque[TenantAtRevision], progress: "_Progress") -> None:
        """Migrate tenants that are all at one revision."""
        replay = self._record_canaries(tenants, progress)
        while tenants and not progress.is_over:
            if replay is None:
                not_replayed = [tenants.popleft()]
            else:
                not_replayed = self._replay(replay, tenants, progress)
            for tenant in not_replayed:
                if not progress.is_over:
                    self._migrate_alone(tenant, progress)

    def _migrate_alone(
        self, tenant: TenantAtRevision, progress: "_Progress", recording: Recording | None = None
    ) -> TenantResult | None:
        """Migrate one of several; None if the tenant no longer exists."""
        if self._is_there(tenant):
            result = self.migrate_one(tenant.id, recording=recording)
            if result.success or self._is_there(tenant):
                progress.add(result)
                return result
        progress.leave_out()
        return None

    def _is_there(self, tenant: TenantAtRevision) -> bool:
        """Whether the tenant still exists: it may be dropped while others are migrated."""
        with backend.reading(self.engine) as connection:
            row = Registry(connection).find(tenant.id)
        return row is not None and row.status != TenantStatus.DROPPING

    def _record_canaries(
        self, tenants: deque[TenantAtRevision], progress: "_Progress"
    ) -> Replay | None:
        """Migrate the canaries; return what the others can replay, if possible."""
        first = tenants[0]
        if len(tenants) <= CANARIES or not first.is_plain:
            return None
        recordings: list[Recording] = []
        migrations: tuple[str, ...] = ()
        while tenants and len(recordings) < CANARIES and not progress.is_over:
            recording = Recording()
            result = self._migrate_alone(tenants.popleft(), progress, recording)
            if result is not None and result.success:
                recordings.append(recording)
                migrations = result.migrations
        if not tenants or len(recordings) < CANARIES or not migrations:
            return None
        by_name = {name_of(script): script for script in self.chain}
        scripts = [by_name[name] for name in migrations]
        if reason := _not_replayable_because(recordings, scripts):
            log.info("%s migrated one by one: %s", count(len(tenants), "tenant"), reason)
            return None
        with backend.reading(self.engine) as connection:
            citus = has_citus(connection)
        return Replay(
            self.config,
            recordings[0],
            scripts,
            start=first.revision,
            target=self.target,
            is_upgrade=self.is_upgrade,
            citus=citus,
            dialect=self.engine.dialect,
            backfills=self.backfills,
        )

    def _replay(
        self, replay: Replay, tenants: deque[TenantAtRevision], progress: "_Progress"
    ) -> list[TenantAtRevision]:
        """Replay until no tenant is left or too many failed; return the failed ones."""
        connections = RenewedConnections(self.engine, self.config.tenants_per_connection)
        failed: list[TenantAtRevision] = []
        most = progress.failures_left

        def work() -> None:
            with connections.for_worker() as checkout:
                while len(failed) < most:
                    try:
                        tenant = tenants.popleft()
                    except IndexError:
                        return
                    began = time.perf_counter()
                    try:
                        for statements in replay.transactions(tenant.id):
                            execute(checkout(), statements)
                    except (psycopg.Error, SQLAlchemyError):
                        failed.append(tenant)  # Alembic will give a better error
                    else:
                        duration = time.perf_counter() - began
                        progress.add(
                            TenantResult(
                                tenant.id, True, replay.is_new, replay.names, duration=duration
                            )
                        )

        with ThreadPoolExecutor(WORKERS) as threads:
            try:
                for job in [threads.submit(work) for _ in range(WORKERS)]:
                    job.result()
            except BaseException:
                tenants.clear()  # so that the other threads end as well
                raise
        return failed

    def _record_failure(self, tenant: str, error: ActionableError) -> None:
        with suppress(SQLAlchemyError), self.engine.begin() as connection:
            Registry(connection).record_failure(tenant, str(error))

    def _correct_row(self, scoped: MigrationConfig, scope: TenantScope) -> ActionableError | None:
        # Nothing was left to run: perhaps the registry's row was out of date.
        try:
            with backend.reading(self.engine) as connection:
                if Registry(connection).is_ready_at(scope.tenant, self.target):
                    return None
            with (
                migration_lock(self.engine, scoped.lock_timeout, scoped.scope.name) as lock,
                backend.migrating(self.engine, scoped, lock.verify) as connection,
                connection.begin(),  # the scope updates the row when it commits
            ):
                return None
        except ActionableError as error:
            return error


def _not_replayable_because(
    recordings: "Sequence[Recording]", scripts: "Sequence[Script]"
) -> str | None:
    for recording in recordings:
        if recording.not_replayable_because is not None:
            return recording.not_replayable_because
    for script in scripts:
        if name := find_outside_input(Path(script.path)):
            return f"{name_of(script)} uses {name}"
    first, *others = recordings
    if not all(first.is_like(other) for other in others):
        return "two tenants executed different statements"
    return None


class _Progress:
    """Collects results from several threads, and logs the progress regularly."""

    def __init__(self, max_failures: int | None, observer: Observer) -> None:
        self.results: list[TenantResult] = []
        self.total = 0
        self.failures_left: float = inf if max_failures is None else max_failures
        self._observer = observer
        self._turn = Lock()
        self._logged_at = time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether the maximum number of failures is reached."""
        return self.failures_left <= 0

    def leave_out(self) -> None:
        """One of the tenants no longer exists."""
        with self._turn:
            self.total -= 1

    def add(self, result: TenantResult) -> None:
        with self._turn:
            self.results.append(result)
            self.failures_left -= not result.success
            self._observer.tenant_finished(result.tenant, result.error, self.total)
            if time.monotonic() - self._logged_at > REPORT_SECONDS:
                self._logged_at = time.monotonic()
                log.info("%d of %s", len(self.results), count(self.total, "tenant"))
