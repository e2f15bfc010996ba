"""Takes over existing tenants' schemas: the migrations are recorded but not run."""

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
from .listing import check_registry
from .scope import PREFIX, TenantScope, schema_of
from .verify import TenantDrift, compare_tenants


@dataclass(frozen=True)
class TenantsTakenOver:
    """The tenants that were taken over.

    Attributes:
        tenants: their ids, even if an error ended it.
        migrations: names of the migrations recorded in each. No rollback undoes them.
        drifted: tenants that differ from what these migrations make.
        error: why the comparison or the recording stopped.
    """

    tenants: tuple[str, ...] = ()
    migrations: tuple[str, ...] = ()
    drifted: tuple[TenantDrift, ...] = ()
    error: ActionableError | None = None

    @property
    def success(self) -> bool:
        """Whether all tenants' schemas have a history now."""
        return self.error is None and {one.tenant for one in self.drifted} <= set(self.tenants)


def take_over_tenants(
    engine: Engine,
    tenants: Collection[str] | None = None,
    *,
    name: str | None = None,
    accept_differences: str | None = None,
    config: MigrationConfig | None = None,
) -> TenantsTakenOver:
    """Record migrations as applied to existing tenants' schemas, without running them.

    A schema's name is ``tenant_`` and the tenant's id. Unregistered tenants are registered. A
    tenant is taken over only if its schema equals the one that the migrations make in an empty
    schema.

    Args:
        tenants: their ids; default: all schemas that have tables and no history.
        name: the last migration that they have; default: the newest of ``public``.
        accept_differences: the reason for recording them although the schemas differ. It is stored
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
    expected = chain_snapshot(engine, replace(config, scope=scope), revisions, folder=folder)
    drifted = compare_tenants(engine, config, expected, schemas, fingerprints)
    refused = {one.tenant for one in drifted} if reason is None else ()
    for schema, tenant in schemas.items():
        if tenant in refused:
            continue
        # The service's role owns its tables: ``tenant roles`` changes the owner.
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
