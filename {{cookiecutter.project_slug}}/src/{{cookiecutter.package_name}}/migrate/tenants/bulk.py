"""Takes tenants to one revision.

Of the tenants at one revision two go through Alembic and are recorded. What both executed alike the
others replay. Whatever is not replayed, or fails there, goes through Alembic by itself.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from itertools import groupby
from math import inf
from threading import Lock
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from .. import runner as run
from ..config import MigrationConfig
from ..folder import load_scripts, name_of, ordered
from ..history import checksum
from ..lock import advisory_key, migration_lock
from ..plan import Plan
from ..results import MigrationError
from ..transaction import migrating, reading
from .replay import Connections, Statement, Tape, play
from .scope import TenantScope, creation, entrance, has_citus, schema_of

if TYPE_CHECKING:
    from alembic.script import Script

log = logging.getLogger(__name__)

WORKERS = 2
WITNESSES = 2  # tenants that must do the same before others replay it
REPORT_SECONDS = 5.0


@dataclass(frozen=True)
class TenantResult:
    """What happened to one tenant.

    Attributes:
        created: whether it did not exist before.
        migrations: names of what was run or rolled back.
        duration: seconds.
    """

    tenant: str
    success: bool
    created: bool = False
    migrations: tuple[str, ...] = ()
    error: MigrationError | None = None
    duration: float = 0.0


OnResult = Callable[[TenantResult, int], None]


@dataclass(frozen=True)
class _Tenant:
    id: str
    revision: str | None
    exists: bool

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing yet, or all of it; what lies between must be looked at."""
        return self.exists == (self.revision is not None)


class Move:
    """Takes tenants to one revision."""

    def __init__(
        self, engine: Engine, config: MigrationConfig, target: str | None, *, is_upgrade: bool
    ) -> None:
        self.engine = engine
        self.config = config
        self.target = target
        self.is_upgrade = is_upgrade
        self.chain = ordered(load_scripts(config))
        revisions = [script.revision for script in self.chain]
        self.wanted = revisions[: revisions.index(target) + 1] if target else []
        self.unwanted = revisions[len(self.wanted) :]

    def all(
        self, max_failures: int | None = None, on_result: OnResult | None = None
    ) -> tuple[TenantResult, ...]:
        """Take all tenants that are elsewhere to the target."""
        if not self._elsewhere():
            return ()
        with migration_lock(self.engine, self.config.lock_timeout):
            tenants = self._elsewhere()  # as it is now that nobody else moves them
            self._report = _Report(len(tenants), max_failures, on_result)
            for _, group in groupby(tenants, key=lambda tenant: (tenant.revision, tenant.exists)):
                self._group(deque(group))
        return tuple(self._report.results)

    def one(
        self, tenant: str, *, label: str | None = None, tape: Tape | None = None
    ) -> TenantResult:
        """Take one tenant to the target, through Alembic.

        Args:
            label: the name of a tenant that may be new.
            tape: records what is executed.
        """
        began = time.perf_counter()
        scope = TenantScope(
            tenant, self.target, label=label, role=self.config.tenant_roles, tape=tape
        )
        scoped = replace(self.config, scope=scope)
        with tape or nullcontext():
            if self.is_upgrade:
                # Whether files changed is for public to say; a tenant takes them as they are.
                result = run.upgrade(self.engine, scoped, self._choose, allow_changed=True)
            else:
                result = run.downgrade(self.engine, scoped, self._choose)
        error = result.error
        if error is None and not result.migrations:
            error = self._note_stand(scoped)
        elif error is not None and scope.has_begun:
            self._note_failure(tenant, error)
        return TenantResult(
            tenant=tenant,
            success=error is None,
            created=self.is_upgrade and name_of(self.chain[0]) in result.migrations,
            migrations=result.migrations,
            error=error,
            duration=time.perf_counter() - began,
        )

    def _choose(self, plan: Plan) -> "Sequence[Script]":
        if self.is_upgrade:
            return [script for script in plan.pending if script.revision in self.wanted]
        return [script for script in plan.applied[::-1] if script.revision not in self.wanted]

    def _elsewhere(self) -> list[_Tenant]:
        # A revision that this folder does not know belongs to a newer version of the service,
        # which is being rolled out: it is not for this one to touch.
        known = self.wanted if self.is_upgrade else [*self.unwanted, *self.wanted[-1:]]
        values = {"up": self.is_upgrade, "known": known, "target": self.target}
        with reading(self.engine) as connection:
            return [_Tenant(*row) for row in connection.execute(_ELSEWHERE, values)]

    def _group(self, tenants: deque[_Tenant]) -> None:
        replay = None
        if tenants[0].is_plain and len(tenants) > WITNESSES:
            replay = self._record(tenants)
        while tenants and not self._report.is_over:
            failed = [tenants.popleft()] if replay is None else self._replay(tenants, replay)
            for tenant in failed:
                if not self._report.is_over:
                    self._report.add(self.one(tenant.id))

    def _record(self, tenants: deque[_Tenant]) -> "_Replay | None":
        """Take the first tenants to the target, and see whether the others can replay it."""
        first, recorded = tenants[0], list[tuple[Tape, TenantResult]]()
        while tenants and len(recorded) < WITNESSES and not self._report.is_over:
            tape = Tape()
            result = self.one(tenants.popleft().id, tape=tape)
            self._report.add(result)
            if result.success:
                recorded.append((tape, result))
        if not tenants or len(recorded) < WITNESSES:
            return None
        (tape, result), (other, _) = recorded
        obstacle = tape.obstacle or other.obstacle
        if obstacle is None and not tape.is_like(other):
            obstacle = "two tenants executed different statements"
        if obstacle is not None:
            log.info("%d tenants are migrated one by one: %s", len(tenants), obstacle)
            return None
        with reading(self.engine) as connection:
            citus = has_citus(connection)
        scripts = [script for script in self.chain if name_of(script) in result.migrations]
        return _Replay(self, tape, scripts, first.revision, citus=citus)

    def _replay(self, tenants: deque[_Tenant], replay: "_Replay") -> list[_Tenant]:
        """Replay until no tenant is left or too many failed; return those that did."""
        connections = Connections(self.engine)
        failed: list[_Tenant] = []
        most = self._report.failures_left

        def work() -> None:
            with connections.worker() as give:
                while len(failed) < most:
                    try:
                        tenant = tenants.popleft()
                    except IndexError:
                        return
                    began = time.perf_counter()
                    try:
                        play(give(), replay.statements(tenant.id))
                    except (psycopg.Error, SQLAlchemyError):
                        failed.append(tenant)  # Alembic tells better what is wrong with it
                    else:
                        self._report.add(replay.result(tenant, time.perf_counter() - began))

        with ThreadPoolExecutor(WORKERS) as threads:
            try:
                for job in [threads.submit(work) for _ in range(WORKERS)]:
                    job.result()
            except BaseException:
                tenants.clear()  # so that the other threads end as well
                raise
        return failed

    def _note_failure(self, tenant: str, error: MigrationError) -> None:
        with suppress(SQLAlchemyError), self.engine.begin() as connection:
            connection.execute(_FAILED, {"id": tenant, "error": str(error)})

    def _note_stand(self, scoped: MigrationConfig) -> MigrationError | None:
        # Nothing was left to run: perhaps the registry was behind, or never said that all is well.
        scope = scoped.scope
        assert isinstance(scope, TenantScope)
        values = {"id": scope.tenant, "target": self.target}
        try:
            with reading(self.engine) as connection:
                if connection.scalar(_IS_NOTED, values):
                    return None
            with (
                migration_lock(self.engine, scoped.lock_timeout, scope.name) as lock,
                migrating(self.engine, scoped, lock.verify) as connection,
                connection.begin(),
            ):
                return None
        except MigrationError as error:
            return error


class _Replay:
    """What is executed for each tenant: the migrations' statements, and the engine's around them.

    Plain statements, each by itself: Citus sees them all.
    """

    def __init__(
        self, move: Move, tape: Tape, scripts: "list[Script]", start: str | None, *, citus: bool
    ) -> None:
        self._names = tuple(name_of(script) for script in scripts)
        self._is_new = start is None
        self._citus = citus
        self._role = move.config.tenant_roles
        self._wait = f"SET LOCAL lock_timeout = {int(move.config.table_lock_timeout * 1000)}"
        self._target = move.target
        self._begin: list[Statement] = tape.tables
        version: tuple[str, Any] = ("INSERT INTO alembic_version VALUES (%s)", (move.target,))
        if start is not None:
            self._begin = [(_STANDS, (start,), False)]
            version = ("UPDATE alembic_version SET version_num = %s", (move.target,))
        if move.target is None:
            version = ("DELETE FROM alembic_version", None)
        revisions = [script.revision for script in scripts]
        sums = [checksum(script._script_path) for script in scripts]
        upgraded = (_APPLIED, (revisions, list(self._names), sums), False)
        history = upgraded if move.is_upgrade else (_UNDONE, (revisions,), False)
        self._body: list[Statement] = [*tape.statements, (*version, False), history]

    def statements(self, tenant: str) -> list[Statement]:
        """All statements of one tenant."""
        schema, role = schema_of(tenant), self._role
        create = creation(schema, owned=role, role=role, citus=self._citus) if self._is_new else []
        leave = ["SET LOCAL ROLE NONE"] if role else []
        return [
            (self._wait, None, False),
            ("SELECT pg_advisory_xact_lock(%s, %s)", advisory_key(schema), False),
            (_EXISTS, (tenant,), False),
            *((statement, None, False) for statement in create),
            *((statement, None, False) for statement in entrance(schema, role=role)),
            *self._begin,
            *self._body,
            *((statement, None, False) for statement in leave),
            (_READY, (self._target, tenant), False),
        ]

    def result(self, tenant: _Tenant, duration: float) -> TenantResult:
        """What a replay did."""
        return TenantResult(tenant.id, True, self._is_new, self._names, duration=duration)


class _Report:
    """Collects results from several threads, and says now and then how far they are."""

    def __init__(self, total: int, max_failures: int | None, on_result: OnResult | None) -> None:
        self.results: list[TenantResult] = []
        self.failures_left: float = inf if max_failures is None else max_failures
        self._total = total
        self._on_result = on_result
        self._turn = Lock()
        self._said_at = time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether so many tenants failed that the rest is left alone."""
        return self.failures_left <= 0

    def add(self, result: TenantResult) -> None:
        with self._turn:
            self.results.append(result)
            self.failures_left -= not result.success
            if self._on_result is not None:
                self._on_result(result, self._total)
            if time.monotonic() - self._said_at > REPORT_SECONDS:
                self._said_at = time.monotonic()
                log.info("%d of %d tenants", len(self.results), self._total)


_ELSEWHERE = text(
    "SELECT t.id, t.revision, n.oid IS NOT NULL"
    " FROM public.tenants t LEFT JOIN pg_namespace n ON n.nspname = t.schema_name"
    " WHERE t.status <> 'dropping'"
    " AND (t.revision IS NULL AND :up OR t.revision = ANY(:known))"
    " AND (t.revision IS DISTINCT FROM CAST(:target AS text) OR t.status <> 'ready')"
    " ORDER BY t.revision NULLS FIRST, n.oid IS NOT NULL, t.id"
)
_IS_NOTED = text(
    "SELECT count(*) FROM public.tenants WHERE id = :id AND status = 'ready'"
    " AND revision IS NOT DISTINCT FROM CAST(:target AS text)"
)
_FAILED = text(
    "UPDATE public.tenants SET status = 'failed', error = :error, updated_at = now()"
    " WHERE id = :id AND status <> 'dropping'"
)
# Division by zero stops a replay for a tenant that was removed meanwhile, or moved.
_EXISTS = "SELECT 1 / count(*) FROM public.tenants WHERE id = %s AND status <> 'dropping'"
_STANDS = "SELECT 1 / count(*) FROM alembic_version WHERE version_num = %s"
_APPLIED = """
INSERT INTO migration_history (run_id, batch, revision, name, checksum, started_at, duration)
SELECT n.run_id, n.batch, v.revision, v.name, v.checksum, now(),
       extract(epoch FROM clock_timestamp() - now())
FROM (
    SELECT coalesce(max(run_id), 0) + 1 AS run_id,
           coalesce(max(batch) FILTER (WHERE rolled_back_at IS NULL), 0) + 1 AS batch
    FROM migration_history
) AS n,
unnest(%s::text[], %s::text[], %s::text[])
    WITH ORDINALITY AS v(revision, name, checksum, position)
ORDER BY v.position
"""
_UNDONE = (
    "UPDATE migration_history SET rolled_back_at = now()"
    " WHERE rolled_back_at IS NULL AND revision = ANY(%s)"
)
_READY = (
    "UPDATE public.tenants SET revision = %s, status = 'ready', error = NULL, updated_at = now()"
    " WHERE id = %s"
)
