"""Compares the tenants' schemas with what the migrations make."""

import logging
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from ...errors import ActionableError
from ..backends import backend
from ..checks.chain import chain_snapshot
from ..config import MigrationConfig, default_config
from ..drift import Difference, Snapshot, compare
from ..folder import Folder
from ..history import read_heads
from ..plan import make_plan, read_state
from ..snapshots import live_fingerprints, snapshot_schema
from .listing import check_registry
from .registry import Registry
from .roles import BECOME_OWNER
from .scope import TenantScope, schema_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TenantDrift:
    """The differences of a tenant's schema from what the migrations make.

    Attributes:
        changed_since_run: whether the schema has changed since its last run;
            None if that run recorded no fingerprint, or its history is gone.
    """

    tenant: str
    differences: tuple[Difference, ...]
    changed_since_run: bool | None = None


@dataclass(frozen=True)
class TenantsVerified:
    """The result of comparing tenants with what the migrations make.

    Attributes:
        compared: number of compared tenants.
        drifted: tenants that differ, by id.
        not_compared: ids of tenants that are not at the revision of ``public``, or being removed.
        error: why nothing could be compared.
    """

    compared: int = 0
    drifted: tuple[TenantDrift, ...] = ()
    not_compared: tuple[str, ...] = ()
    error: ActionableError | None = None

    @property
    def success(self) -> bool:
        """Whether no compared tenant differs."""
        return self.error is None and not self.drifted


def verify_tenants(
    engine: Engine,
    tenants: Collection[str] | None = None,
    *,
    alike: bool = False,
    config: MigrationConfig | None = None,
    folder: Folder | None = None,
) -> TenantsVerified:
    """Compare tenants' schemas with what the migrations make in an empty database.

    One query gives the fingerprint of each; of tenants with the same difference only one is read in
    full.

    Args:
        tenants: their ids; default: all.
        alike: it is enough that they are all equal, so no empty database is needed. If some differ
            and no empty database can be created, they are compared with the majority.
        folder: the folder of a run before.
    """
    config = config or default_config()
    try:
        check_registry(engine)
        return _verify(engine, config, folder or Folder(config), tenants, alike=alike)
    except ActionableError as error:
        return TenantsVerified(error=error)
    except SQLAlchemyError as error:
        return TenantsVerified(error=backend.explain(engine, error))


def _verify(
    engine: Engine,
    config: MigrationConfig,
    folder: Folder,
    tenants: Collection[str] | None,
    *,
    alike: bool,
) -> TenantsVerified:
    # All files are read only if something differs: they take as long as a hundred tenants.
    revisions = [] if alike else _applied(engine, config, folder)
    with backend.reading(engine, config.scope) as connection:
        newest = read_heads(connection, config) if alike else set(revisions[-1:])
        rows = [
            r for r in Registry(connection).page("", None) if tenants is None or r.id in tenants
        ]
        current = {row.id for row in rows if newest == {row.revision}}
        schemas = {schema_of(tenant): tenant for tenant in sorted(current)}
        fingerprints = live_fingerprints(connection, config, schemas)
    others = tuple(row.id for row in rows if row.id not in current)
    if not current:
        return TenantsVerified(not_compared=others)
    most = Counter(map(fingerprints.get, schemas)).most_common()
    if alike and len(most) == 1:
        return TenantsVerified(len(current), (), others)
    usual = next(t for schema, t in schemas.items() if fingerprints.get(schema) == most[0][0])
    revisions = revisions or _applied(engine, config, folder)
    expected = _expected(engine, config, folder, revisions, usual if alike else None)
    drifted = compare_tenants(engine, config, expected, schemas, fingerprints)
    if drifted:
        with backend.reading(engine) as connection:
            drifted = tuple(
                replace(one, changed_since_run=_changed(connection, config, one, fingerprints))
                for one in drifted
            )
    return TenantsVerified(len(current), drifted, others)


def _applied(engine: Engine, config: MigrationConfig, folder: Folder) -> list[str]:
    return [s.revision for s in make_plan(folder, read_state(engine, config)).applied]


def _expected(
    engine: Engine,
    config: MigrationConfig,
    folder: Folder,
    revisions: list[str],
    usual: str | None,
) -> Snapshot:
    scope = TenantScope("scratch", revisions[-1], version_table=config.version_table)
    try:
        return chain_snapshot(engine, replace(config, scope=scope), revisions, folder=folder)
    except ActionableError as error:
        if usual is None:
            raise
        message = "Tenants are compared with %s, not with the migrations: %s"
        log.warning(message, usual, error.problem)
        return _snapshot(engine, config, usual)


def _snapshot(engine: Engine, config: MigrationConfig, tenant: str) -> Snapshot:
    return snapshot_schema(engine, config=replace(config, scope=TenantScope(tenant, None)))


def _changed(
    connection: Connection, config: MigrationConfig, one: TenantDrift, found: Mapping[str, str]
) -> bool | None:
    """Compare with the fingerprint of the tenant's last run."""
    schema = schema_of(one.tenant)
    connection.rollback()  # releases the locks of the tables
    connection.execute(BECOME_OWNER, {"schema": schema})
    table = f'"{schema}"."{config.history_table}"'
    if connection.scalar(text("SELECT to_regclass(:table)"), {"table": table}) is None:
        return None  # dropped by hand, maybe with the whole schema
    # An older version of the engine did not have this column.
    ever = connection.exec_driver_sql(
        f"SELECT to_jsonb(h) ->> 'fingerprint' FROM {table} AS h"
        " WHERE rolled_back_at IS NULL ORDER BY id DESC LIMIT 1"
    ).scalar()
    return None if ever is None else bool(ever != found[schema])


def compare_tenants(
    engine: Engine,
    config: MigrationConfig,
    expected: Snapshot,
    schemas: Mapping[str, str],
    fingerprints: Mapping[str, str],
) -> tuple[TenantDrift, ...]:
    """The tenants whose schemas differ from the expected one, with the differences.

    Args:
        schemas: the tenants' ids, by schema.
        fingerprints: by schema.
    """
    alike: dict[str | None, tuple[Difference, ...]] = {expected.fingerprint: ()}
    drifted = []
    for schema, tenant in schemas.items():
        fingerprint = fingerprints.get(schema)
        if fingerprint not in alike:
            found = _snapshot(engine, config, tenant)
            alike[fingerprint] = tuple(compare(expected, found))
        if alike[fingerprint]:
            drifted.append(TenantDrift(tenant, alike[fingerprint]))
    return tuple(drifted)
