"""Takes over tenants' schemas that were there before: what they have is recorded, not run."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from ...errors import ActionableError
from .. import errors as engine_errors
from ..backends import backend
from ..checks.baseline import record
from ..checks.chain import chain_snapshot
from ..config import MigrationConfig, default_config
from ..folder import Folder, name_of
from ..lock import migration_lock
from ..plan import Plan, find, make_plan, read_state
from ..snapshots import live_fingerprints
from . import errors
from .registry import check_registry
from .scope import PREFIX, TenantScope, schema_of
from .verify import TenantDrift, compare_tenants


@dataclass(frozen=True)
class TenantsTakenOver:
    """Which tenants were taken over.

    Attributes:
        tenants: their ids, also when an error ended it.
        migrations: names of what is recorded in each as applied now. No rollback undoes it.
        drifted: in what tenants differ from what these migrations make.
        error: why nothing more could be compared or recorded.
    """

    tenants: tuple[str, ...] = ()
    migrations: tuple[str, ...] = ()
    drifted: tuple[TenantDrift, ...] = ()
    error: ActionableError | None = None

    @property
    def success(self) -> bool:
        """Whether no tenant's schema is left without a history."""
        return self.error is None and {one.tenant for one in self.drifted} <= set(self.tenants)


def take_over_tenants(
    engine: Engine,
    tenants: Collection[str] | None = None,
    *,
    name: str | None = None,
    accept_differences: str | None = None,
    config: MigrationConfig | None = None,
) -> TenantsTakenOver:
    """Record migrations as applied whose tables tenants' schemas have already. Runs none of them.

    A schema is called ``tenant_`` and the tenant's id. Who is not registered is registered. A tenant
    is taken over only if its schema equals what the migrations make in an empty one.

    Args:
        tenants: their ids; all schemas that have tables and no history when left out.
        name: the last migration that they have; default: the newest that ``public`` has.
        accept_differences: the reason why they are recorded although the schemas differ. It is kept
            in each tenant's history.
    """
    config = config or default_config()
    taken: list[str] = []
    try:
        check_registry(engine)
        if accept_differences is not None and not accept_differences.strip():
            raise engine_errors.reason_missing()
        with migration_lock(engine, config.lock_timeout, observer=config.observer):
            return _take_over(engine, config, tenants, name, accept_differences, taken)
    except ActionableError as error:
        return TenantsTakenOver(tuple(taken), error=error)
    except SQLAlchemyError as error:
        return TenantsTakenOver(tuple(taken), error=backend.explain(engine, error))


def _take_over(
    engine: Engine,
    config: MigrationConfig,
    tenants: Collection[str] | None,
    name: str | None,
    reason: str | None,
    taken: list[str],
) -> TenantsTakenOver:
    folder = Folder(config)
    applied = make_plan(folder, read_state(engine, config)).applied
    chain = applied if name is None else applied[: applied.index(find(applied, name)) + 1]
    with backend.reading(engine) as connection:
        schemas = _without_history(connection, config, tenants)
        fingerprints = live_fingerprints(connection, config, schemas)
    if not schemas:
        return TenantsTakenOver()
    scope = TenantScope("scratch", None, version_table=config.version_table)
    revisions = {script.revision for script in chain}
    expected = chain_snapshot(engine, replace(config, scope=scope), revisions)
    drifted = compare_tenants(engine, config, expected, schemas, fingerprints)
    refused = {one.tenant for one in drifted} if reason is None else ()
    for schema, tenant in schemas.items():
        if tenant in refused:
            continue
        # Its tables are the service's own: ``tenant roles`` hands them over.
        scope = TenantScope(
            tenant,
            applied[-1].revision,
            display_name=tenant,
            version_table=config.version_table,
        )
        scoped = replace(config, scope=scope)
        with (
            migration_lock(engine, config.lock_timeout, scope.name, config.observer) as lock,
            backend.migrating(engine, scoped, lock.verify) as connection,
            connection.begin(),
        ):
            plan = Plan(folder, read_state(engine, scoped), chain, ())
            record(connection, scoped, plan, fingerprints[schema], reason)
        taken.append(tenant)
    return TenantsTakenOver(tuple(taken), tuple(map(name_of, chain)), drifted)


def _without_history(
    connection: Connection, config: MigrationConfig, tenants: Collection[str] | None
) -> dict[str, str]:
    """Schemas that have tables and no history, each with its tenant's id."""
    values = {"version_table": config.version_table, "prefix": PREFIX}
    found = {
        schema: schema.removeprefix(PREFIX)
        for schema in connection.scalars(_WITHOUT_HISTORY, values)
    }
    for tenant in tenants or ():
        if schema_of(tenant) not in found:
            raise errors.nothing_to_take_over(tenant)
    chosen = found.values() if tenants is None else tenants
    return {schema_of(tenant): tenant for tenant in sorted(chosen)}


_WITHOUT_HISTORY = text(
    "SELECT n.nspname FROM pg_namespace n WHERE starts_with(n.nspname, :prefix)"
    " AND EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p'))"
    " AND NOT EXISTS (SELECT FROM pg_class c"
    " WHERE c.relnamespace = n.oid AND c.relname = :version_table)"
)
