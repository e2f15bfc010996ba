"""Tenants: one PostgreSQL schema each, all at the revision of ``public``.

``public.tenants`` is the registry. Each schema keeps its own ``alembic_version`` and
``migration_history``, written in the transaction that also moves the registry's row.

Tenants at one revision are migrated by canary and replay: the first goes through Alembic and is
recorded, the others replay the recording.
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby
from threading import Lock
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy import Connection, Engine, MetaData, Table, text

from . import run
from .config import MigrationConfig, service_config
from .directory import check_one_head, load_scripts, name_of, ordered
from .history import checksum
from .lock import advisory_key, migration_lock
from .plan import Plan, make_plan, make_status, read_stand
from .replay import Connections, Statement, Tape, play
from .results import MigrationError, MigrationResult, cause
from .scope import Scope
from .transaction import in_autocommit, migrating, reading

if TYPE_CHECKING:
    from alembic.script import Script

SHARED_SCHEMA = "public"
PREFIX = "tenant_"
NAME_BYTES = 63  # PostgreSQL cuts longer names, silently
RESERVED = frozenset(
    {"admin", "api", "public", "www"}
)  # first labels of host names that are no one's
WORKERS = 2

_ID = re.compile(r"^[a-z0-9_]+$")


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


@dataclass(frozen=True)
class AllTenantsResult:
    """What happened to the shared schema and to each tenant that was not where it should be."""

    public: MigrationResult
    tenants: tuple[TenantResult, ...] = ()

    @property
    def success(self) -> bool:
        """Whether the shared schema and all tenants are where they should be."""
        return self.public.success and not self.failed

    @property
    def failed(self) -> tuple[TenantResult, ...]:
        """The tenants that are not."""
        return tuple(result for result in self.tenants if not result.success)


@dataclass(frozen=True)
class Tenant:
    """A row of the registry, and whether its schema is there."""

    id: str
    revision: str | None
    exists: bool


def schema_of(tenant: str) -> str:
    """The schema of a tenant.

    Raises:
        MigrationError: the id is illegal, too long or reserved.
    """
    schema = PREFIX + tenant
    if not _ID.match(tenant) or len(schema.encode()) > NAME_BYTES:
        fault = (
            f"uses letters, digits and underscores, {NAME_BYTES - len(PREFIX)} at most: acme_inc"
        )
        raise MigrationError(
            f"{tenant[:80]!r} cannot be the id of a tenant.", "Nothing was done.", f"An id {fault}"
        )
    if tenant in RESERVED:
        raise MigrationError(
            f"{tenant!r} is reserved and cannot be the id of a tenant.",
            "Nothing was done.",
            "Choose another id.",
        )
    return schema


class SharedScope(Scope):
    """The schema ``public``: tables that belong to no tenant."""

    mark = "shared_only"

    def tables(self, metadata: MetaData) -> MetaData:
        shared = MetaData(naming_convention=metadata.naming_convention)
        for table in metadata.tables.values():
            if table.schema == SHARED_SCHEMA:
                table.to_metadata(shared, schema=None)  # type: ignore[arg-type]
        return shared


class TenantScope(Scope):
    """One tenant's schema. The registry's row moves in the transactions of its migrations.

    Attributes:
        label: the name a new tenant gets in the registry.
        target: the revision at which the tenant is ready.
        tape: records what the migrations execute.
    """

    def __init__(
        self,
        tenant: str,
        target: str | None,
        *,
        label: str | None = None,
        role: bool = False,
        tape: Tape | None = None,
    ) -> None:
        self.tenant = tenant
        self.name = schema_of(tenant)
        self.target = target
        self.label = label or tenant
        self.role = role
        self.tape = tape

    mark = "tenant_only"

    def tables(self, metadata: MetaData) -> MetaData:
        own = MetaData(naming_convention=metadata.naming_convention)
        for table in metadata.tables.values():
            if table.schema is None:
                _refuse_foreign_key_to_shared(table)
                table.to_metadata(own)
        return own

    def begin(self, connection: Connection) -> None:
        connection.execute(
            text(
                "INSERT INTO public.tenants (id, name, schema_name) VALUES (:id, :name, :schema)"
                " ON CONFLICT (id) DO NOTHING"
            ),
            {"id": self.tenant, "name": self.label, "schema": self.name},
        )
        if _schema_exists(connection, self.name):
            return
        for statement in creation(self.name, role=self.role, citus=has_citus(connection)):
            connection.exec_driver_sql(statement)

    def enter(self, connection: Connection) -> None:
        # Outside a transaction there is no LOCAL; the connection is thrown away afterwards.
        local = "" if in_autocommit(connection) else "LOCAL "
        for statement in entrance(self.name, role=self.role, local=local):
            connection.exec_driver_sql(statement)
        if self.tape is not None:
            self.tape.attach(connection)

    def commit(self, connection: Connection) -> None:
        if in_autocommit(connection):
            return
        if self.tape is not None:
            self.tape.detach(connection)
        if self.role:
            connection.exec_driver_sql("SET LOCAL ROLE NONE")
        connection.execute(
            text(
                "UPDATE public.tenants SET updated_at = now(), error = NULL,"
                " revision = (SELECT version_num FROM alembic_version),"
                " status = CASE WHEN (SELECT version_num FROM alembic_version)"
                " IS NOT DISTINCT FROM CAST(:target AS text) THEN 'ready' ELSE status END"
                " WHERE id = :id"
            ),
            {"target": self.target, "id": self.tenant},
        )

    def around(self, body: Callable[..., None]) -> Callable[..., None]:
        return body if self.tape is None else self.tape.around(body)


def _refuse_foreign_key_to_shared(table: Table) -> None:
    for key in table.foreign_keys:
        if key.target_fullname.startswith(f"{SHARED_SCHEMA}."):
            raise MigrationError(
                f"{table.name}.{key.parent.name} is a foreign key to {key.target_fullname}.",
                "Each new tenant would lock the shared table, and with some thousand tenants a row"
                " of it could no longer be deleted.",
                "Keep the value without a foreign key, or move the table to the same side.",
            )


def _schema_exists(connection: Connection, schema: str) -> bool:
    query = text("SELECT count(*) FROM pg_namespace WHERE nspname = :schema")
    return bool(connection.scalar(query, {"schema": schema}))


def creation(schema: str, *, role: bool, citus: bool) -> list[str]:
    """Statements that make a tenant's schema: plain ones, so that Citus sees each."""
    statements = ["SET LOCAL citus.enable_schema_based_sharding TO on"] if citus else []
    if not role:
        return [*statements, f'CREATE SCHEMA "{schema}"']
    return [
        *statements,
        f'CREATE ROLE "{schema}" NOLOGIN',
        f'GRANT "{schema}" TO CURRENT_USER',
        f'CREATE SCHEMA "{schema}" AUTHORIZATION "{schema}"',
    ]


def entrance(schema: str, *, role: bool, local: str = "LOCAL ") -> list[str]:
    """Statements that make unqualified names mean this schema's tables, and never public's."""
    path = f'SET {local}search_path TO "{schema}", pg_temp'
    return [path, f'SET {local}ROLE "{schema}"'] if role else [path]


def check_registry(engine: Engine) -> None:
    """Refuse to look for tenants where there cannot be any.

    Raises:
        MigrationError: the shared schema is not migrated.
    """
    with reading(engine) as connection:
        if has_registry(connection):
            return
    raise MigrationError(
        "There is no registry of tenants yet.",
        "Nothing was done.",
        "Migrate the shared schema first: migrate latest",
    )


def has_registry(connection: Connection) -> bool:
    """Whether the migration that makes ``public.tenants`` was applied."""
    return connection.scalar(text("SELECT to_regclass('public.tenants')")) is not None


def has_citus(connection: Connection) -> bool:
    """Whether schemas can be spread over machines here."""
    return bool(connection.scalar(text("SELECT count(*) FROM pg_extension WHERE extname='citus'")))


def run_tenant_migrations(
    engine: Engine, tenant: str, *, label: str | None = None, config: MigrationConfig | None = None
) -> TenantResult:
    """Bring one tenant to head; its schema and its row are made when they are missing.

    Args:
        label: the name that a new tenant gets in the registry.

    Raises:
        MigrationError: the id cannot be a tenant's, or the folder is not in order.
    """
    schema_of(tenant)
    config = config or service_config()
    check_registry(engine)
    move = _Move(engine, config, _head(config), is_upgrade=True)
    return move.one(tenant, label=label)


def run_all_tenant_migrations(
    engine: Engine,
    *,
    choose: run.Choice = run.all_pending,
    config: MigrationConfig | None = None,
    allow_changed: bool = False,
    max_failures: int | None = None,
    on_result: Callable[[TenantResult, int], None] | None = None,
) -> AllTenantsResult:
    """Bring ``public``, then every tenant to head. A tenant that fails does not stop the others.

    Args:
        choose: what to apply to ``public``; the tenants follow to where it is then.
        allow_changed: go on although files changed after they were applied.
        max_failures: stop when so many tenants have failed.
        on_result: called after each tenant with its result and the number of tenants in all.

    Raises:
        MigrationError: the folder is not in order, or another migrator holds the lock.
    """
    config = config or service_config()
    public = run.upgrade(engine, config, choose, allow_changed=allow_changed)
    if not public.success:
        return AllTenantsResult(public)
    target = make_status(config, read_stand(engine, config)).current
    move = _Move(engine, config, target, is_upgrade=True)
    return AllTenantsResult(public, tuple(move.all(max_failures, on_result)))


def rollback_all_tenants(
    engine: Engine,
    *,
    choose: run.Choice = run.newest_batch,
    config: MigrationConfig | None = None,
    on_result: Callable[[TenantResult, int], None] | None = None,
) -> AllTenantsResult:
    """Undo what ``choose`` picks in ``public``, and take every tenant to where ``public`` is then.

    The tenants go first: when one of them fails, ``public`` stays, and the same call continues.
    """
    config = config or service_config()
    try:
        target = _after_rollback(engine, config, choose)
    except MigrationError as error:
        return AllTenantsResult(MigrationResult(success=False, error=error))
    move = _Move(engine, config, target, is_upgrade=False)
    tenants = tuple(move.all(None, on_result))
    if not all(result.success for result in tenants):
        stopped = MigrationError(
            "Some tenants could not be rolled back.",
            "The shared schema was not touched.",
            "Mend what each of them reports and run it again: migrate rollback",
        )
        return AllTenantsResult(MigrationResult(success=False, error=stopped), tenants)
    return AllTenantsResult(run.downgrade(engine, config, choose), tenants)


def rollback_tenant(
    engine: Engine,
    tenant: str,
    *,
    choose: run.Choice = run.newest_batch,
    config: MigrationConfig | None = None,
) -> MigrationResult:
    """Undo one tenant's newest batch, or what ``choose`` picks, and nothing else."""
    config = config or service_config()
    return run.downgrade(engine, replace(config, scope=_scope(config, tenant)), choose)


def for_making(engine: Engine, config: MigrationConfig, *, shared: bool) -> MigrationConfig:
    """The configuration with which to make a migration: a tenant is what models are compared with.

    Raises:
        MigrationError: there is no tenant that is ready.
    """
    if shared:
        return config
    check_registry(engine)
    query = text("SELECT min(id) FROM public.tenants WHERE status = 'ready'")
    with reading(engine) as connection:
        tenant = connection.scalar(query)
    if tenant is None:
        raise MigrationError(
            "There is no tenant that is ready, and the models are compared with one.",
            "No file was written.",
            "Make one: tenant create demo. For the shared schema: migrate make NAME --shared",
        )
    return replace(config, scope=_scope(config, tenant))


def _scope(config: MigrationConfig, tenant: str) -> TenantScope:
    return TenantScope(tenant, _head(config), role=config.tenant_roles)


def _head(config: MigrationConfig) -> str | None:
    scripts = load_scripts(config)
    check_one_head(scripts)
    return scripts.get_current_head()


def _after_rollback(engine: Engine, config: MigrationConfig, choose: run.Choice) -> str | None:
    plan = make_plan(config, read_stand(engine, config))
    undone = {script.revision for script in choose(plan)}
    left = [script.revision for script in plan.applied if script.revision not in undone]
    return left[-1] if left else None


class _Move:
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
        self.wanted = set(revisions[: revisions.index(target) + 1] if target else [])

    def all(
        self, max_failures: int | None, on_result: Callable[[TenantResult, int], None] | None
    ) -> list[TenantResult]:
        """Take all tenants that are elsewhere to the target."""
        tenants = self._elsewhere()
        self._report = _Report(len(tenants), max_failures, on_result)
        if tenants:
            with migration_lock(self.engine, self.config.lock_timeout):
                for _, group in groupby(tenants, key=lambda row: (row.revision, row.exists)):
                    self._group(list(group))
        return self._report.results

    def one(
        self, tenant: str, *, label: str | None = None, tape: Tape | None = None
    ) -> TenantResult:
        """Take one tenant to the target, through Alembic."""
        began = time.perf_counter()
        role = self.config.tenant_roles
        scope = TenantScope(tenant, self.target, label=label, role=role, tape=tape)
        scoped = replace(self.config, scope=scope)
        known = self._is_known(tenant)
        move = run.upgrade if self.is_upgrade else run.downgrade
        result = move(self.engine, scoped, self._choose)
        if result.error is not None:
            self._note_failure(tenant, result.error)
        elif not result.migrations:
            self._note_stand(scoped)
        return TenantResult(
            tenant=tenant,
            success=result.success,
            created=result.success and not known,
            migrations=result.migrations,
            error=result.error,
            duration=time.perf_counter() - began,
        )

    def _choose(self, plan: Plan) -> "Sequence[Script]":
        if self.is_upgrade:
            return [script for script in plan.pending if script.revision in self.wanted]
        return [script for script in plan.applied[::-1] if script.revision not in self.wanted]

    def _elsewhere(self) -> list[Tenant]:
        # A revision that this folder does not know belongs to a newer version of the service,
        # which is being rolled out: it is not for this one to touch.
        known = [s.revision for s in self.chain if (s.revision in self.wanted) is self.is_upgrade]
        query = text(
            "SELECT t.id, t.revision, n.oid IS NOT NULL"
            " FROM public.tenants t LEFT JOIN pg_namespace n ON n.nspname = t.schema_name"
            " WHERE t.status <> 'dropping'"
            " AND (t.revision IS NULL AND :up OR t.revision = ANY(:known))"
            " AND (t.revision IS DISTINCT FROM CAST(:target AS text) OR t.status <> 'ready')"
            " ORDER BY t.revision NULLS FIRST, n.oid IS NOT NULL, t.id"
        )
        values = {"up": self.is_upgrade, "known": known, "target": self.target}
        with reading(self.engine) as connection:
            if not has_registry(connection):
                return []
            return [Tenant(*row) for row in connection.execute(query, values)]

    def _group(self, tenants: list[Tenant]) -> None:
        rest = iter(tenants)
        tape, scripts = self._canary(rest)
        if tape is None:
            return
        # A schema that is half there must be looked at; only what is plainly alike is replayed.
        alike = tenants[0].exists == (tenants[0].revision is not None)
        if tape.obstacle is None and alike:
            self._replay(rest, tape, scripts)
            return
        for tenant in rest:
            if self._report.is_over:
                return
            self._report.add(self.one(tenant.id))

    def _canary(self, tenants: Iterator[Tenant]) -> "tuple[Tape | None, list[Script]]":
        for tenant in tenants:
            if self._report.is_over:
                break
            tape = Tape(schema_of(tenant.id))
            result = self.one(tenant.id, tape=tape)
            self._report.add(result)
            if result.success:
                names = set(result.migrations)
                return tape, [script for script in self.chain if name_of(script) in names]
        return None, []

    def _replay(self, tenants: Iterator[Tenant], tape: Tape, scripts: "list[Script]") -> None:
        with reading(self.engine) as connection:
            citus = has_citus(connection)
        connections = Connections(self.engine)
        turn = Lock()

        def work() -> None:
            with connections.worker() as give:
                while not self._report.is_over:
                    with turn:
                        tenant = next(tenants, None)
                    if tenant is None:
                        return
                    statements = self._statements(tenant, tape, scripts, citus=citus)
                    self._report.add(self._replay_one(give, tenant, statements, scripts))

        with ThreadPoolExecutor(WORKERS) as threads:
            for job in [threads.submit(work) for _ in range(WORKERS)]:
                job.result()

    def _replay_one(
        self,
        give: "Callable[[], psycopg.Connection[Any]]",
        tenant: Tenant,
        statements: list[Statement],
        scripts: "list[Script]",
    ) -> TenantResult:
        began = time.perf_counter()
        error = None
        for retry in range(self.config.table_lock_retries + 1):
            try:
                play(give(), statements)
            except psycopg.errors.LockNotAvailable as problem:
                error = _replay_error(tenant, problem)
                time.sleep(run.RETRY_SECONDS * (retry < self.config.table_lock_retries))
            except (psycopg.Error, MigrationError) as problem:
                error = _replay_error(tenant, problem)
                break
            else:
                error = None
                break
        if error is not None:
            self._note_failure(tenant.id, error)
        names = tuple(name_of(script) for script in scripts)
        return TenantResult(
            tenant=tenant.id,
            success=error is None,
            created=error is None and tenant.revision is None,
            migrations=names if error is None else (),
            error=error,
            duration=time.perf_counter() - began,
        )

    def _statements(
        self, tenant: Tenant, tape: Tape, scripts: "list[Script]", *, citus: bool
    ) -> list[Statement]:
        schema, role = schema_of(tenant.id), self.config.tenant_roles
        milliseconds = int(self.config.table_lock_timeout * 1000)
        revisions = [script.revision for script in scripts]
        before: list[tuple[str, Any]] = [
            (f"SET LOCAL lock_timeout = {milliseconds}", None),
            ("SELECT pg_advisory_xact_lock(%s, %s)", advisory_key(schema)),
        ]
        if tenant.revision is None:
            before += [(s, None) for s in creation(schema, role=role, citus=citus)]
        before += [(statement, None) for statement in entrance(schema, role=role)]
        if tenant.revision is None:
            before += [(statement, None) for statement in tape.tables]
            version: tuple[str, Any] = ("INSERT INTO alembic_version VALUES (%s)", (self.target,))
        else:
            # Division by zero stops a replay on a schema that is not where the registry says.
            stands = "SELECT 1 / count(*) FROM alembic_version WHERE version_num = %s"
            before.append((stands, (tenant.revision,)))
            version = ("UPDATE alembic_version SET version_num = %s", (self.target,))
        if self.target is None:
            version = ("DELETE FROM alembic_version", ())
        if self.is_upgrade:
            sums = [checksum(script._script_path) for script in scripts]
            names = [name_of(script) for script in scripts]
            history: tuple[str, Any] = (_RECORD, (revisions, names, sums))
        else:
            history = (_CLOSE, (revisions,))
        after: list[tuple[str, Any]] = [version, history]
        if role:
            after.append(("SET LOCAL ROLE NONE", None))
        after.append((_READY, (self.target, tenant.id)))
        return [
            *((query, values, False) for query, values in before),
            *tape.statements,
            *((query, values, False) for query, values in after),
        ]

    def _is_known(self, tenant: str) -> bool:
        query = text("SELECT count(*) FROM public.tenants WHERE id = :id AND revision IS NOT NULL")
        with reading(self.engine) as connection:
            return bool(connection.scalar(query, {"id": tenant}))

    def _note_failure(self, tenant: str, error: MigrationError) -> None:
        failed = text("UPDATE public.tenants SET status = 'failed', error = :error WHERE id = :id")
        with self.engine.begin() as connection:
            connection.execute(failed, {"id": tenant, "error": str(error)})

    def _note_stand(self, scoped: MigrationConfig) -> None:
        # Nothing was left to run: the registry was behind, or never said that all is well.
        with migrating(self.engine, scoped) as connection, connection.begin():
            pass


class _Report:
    """Collects results from several threads."""

    def __init__(
        self,
        total: int,
        max_failures: int | None,
        on_result: Callable[[TenantResult, int], None] | None,
    ) -> None:
        self.results: list[TenantResult] = []
        self._total = total
        self._max_failures = max_failures
        self._on_result = on_result
        self._failures = 0
        self._turn = Lock()

    @property
    def is_over(self) -> bool:
        """Whether so many tenants failed that the rest is left alone."""
        return self._max_failures is not None and self._failures >= self._max_failures

    def add(self, result: TenantResult) -> None:
        with self._turn:
            self.results.append(result)
            self._failures += not result.success
            if self._on_result is not None:
                self._on_result(result, self._total)


_RECORD = """
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
_CLOSE = (
    "UPDATE migration_history SET rolled_back_at = now()"
    " WHERE rolled_back_at IS NULL AND revision = ANY(%s)"
)
_READY = (
    "UPDATE public.tenants SET revision = %s, status = 'ready', error = NULL, updated_at = now()"
    " WHERE id = %s"
)


def _replay_error(tenant: Tenant, error: Exception) -> MigrationError:
    if isinstance(error, psycopg.errors.DivisionByZero):
        return MigrationError(
            f"The schema of {tenant.id} is not at revision {tenant.revision}, as the registry says.",
            "The tenant was not touched; the others go on.",
            "See what differs, and mend it: tenant audit --repair",
        )
    return MigrationError(
        f"{tenant.id}: {type(error).__name__}: {cause(error)}",
        "The tenant stays as it was; the others go on.",
        f"Mend the cause and run it again: tenant migrate {tenant.id}",
    )
