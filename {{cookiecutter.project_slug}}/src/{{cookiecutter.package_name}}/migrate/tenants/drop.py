"""Removes tenants, and compares the registry with what is there.

PostgreSQL locks each table that a transaction touches until it ends, and has room for some
thousands; so both go in portions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, text

from ..config import MigrationConfig, service_config
from ..lock import migration_lock
from ..results import MigrationError
from ..transaction import reading
from .registry import check_registry, find_tenant
from .scope import PREFIX, schema_of

PORTION = 100  # tables or schemas touched by one transaction


@dataclass(frozen=True)
class Finding:
    """A place where registry and schemas do not agree, and what a repair does about it."""

    tenant: str
    problem: str
    repair: str


def drop_tenant(engine: Engine, tenant: str, *, config: MigrationConfig | None = None) -> None:
    """Remove a tenant and everything it has. A removal that was cut short can be continued.

    Raises:
        MigrationError: there is no such tenant, or it is being migrated.
    """
    config = config or service_config()
    schema = schema_of(tenant)
    find_tenant(engine, tenant)
    values = {"id": tenant, "schema": schema, "portion": PORTION}
    with migration_lock(engine, config.lock_timeout, schema):
        with engine.begin() as connection:
            connection.execute(_DROPPING, values)
        while _drop_portion(engine, values):
            pass
        with engine.begin() as connection:
            connection.exec_driver_sql(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')
            if connection.scalar(_ROLE_IS_FREE, values):
                connection.exec_driver_sql(f'DROP ROLE "{schema}"')
            connection.execute(text("DELETE FROM public.tenants WHERE id = :id"), values)


def _drop_portion(engine: Engine, values: dict[str, object]) -> bool:
    with engine.begin() as connection:
        statements = connection.scalars(_DROPS, values).all()
        for statement in statements:
            connection.exec_driver_sql(statement)
    return bool(statements)


def audit_tenants(engine: Engine, *, repair: bool = False) -> list[Finding]:
    """Compare the registry with the schemas and what each says of itself.

    Args:
        repair: make the registry say what is true; schemas are not touched.
    """
    check_registry(engine)
    findings = []
    with reading(engine) as connection:
        names = connection.scalars(_NAMES).all()
    for start in range(0, len(names), PORTION):
        portion = names[start : start + PORTION]
        with engine.begin() as connection:
            findings += list(_audit(connection, portion, repair=repair))
    return findings


def _audit(connection: Connection, schemas: Sequence[str], *, repair: bool) -> Iterator[Finding]:
    # Nobody moves these tenants until the transaction ends: their rows are locked.
    rows = connection.execute(_ROWS, {"schemas": schemas}).all()
    registered = {row.schema_name: row for row in rows}
    stands = _stands(connection, schemas)
    for schema in schemas:
        row, tenant, stand = registered.get(schema), schema.removeprefix(PREFIX), stands.get(schema)
        if row is None:
            if schema not in stands:
                continue  # it was removed just now
            problem = f"schema {schema} is not registered"
            if not _is_legal(tenant):
                yield Finding(tenant, problem, "nothing: it cannot be a tenant's; rename it")
                continue
            yield Finding(tenant, problem, "it is registered")
        elif row.status == "dropping":
            yield Finding(tenant, "its removal was cut short", f"tenant drop {tenant} --yes")
            continue
        elif schema not in stands and row.revision is not None:
            yield Finding(tenant, "it has no schema", "it is made anew by the next migration")
        elif stand != row.revision:
            problem = f"its schema is at {stand}, the registry says {row.revision}"
            yield Finding(tenant, problem, f"the registry says {stand}")
        else:
            continue
        if repair:
            values = {"id": tenant, "schema": schema, "revision": stand}
            connection.execute(_REPAIR, values)


def _stands(connection: Connection, schemas: Sequence[str]) -> dict[str, str | None]:
    """Schemas that are there, each with the revision in its ``alembic_version``."""
    found = connection.execute(_VERSIONED, {"schemas": schemas}).all()
    stands: dict[str, str | None] = {schema: None for schema, _ in found}
    selects = [
        f"SELECT '{schema}', (SELECT max(version_num) FROM {quoted}.alembic_version)"
        for schema, quoted in found
        if quoted is not None
    ]
    if selects:
        rows = connection.exec_driver_sql(" UNION ALL ".join(selects))
        stands.update((row[0], row[1]) for row in rows)
    return stands


def _is_legal(tenant: str) -> bool:
    try:
        schema_of(tenant)
    except MigrationError:
        return False
    return True


_DROPPING = text("UPDATE public.tenants SET status = 'dropping' WHERE id = :id")
# Partitions go before what they are parts of, and sequences that a column owns go with it.
_DROPS = text(
    "SELECT format('DROP %s IF EXISTS %I.%I CASCADE', CASE c.relkind WHEN 'v' THEN 'VIEW'"
    " WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE'"
    " ELSE 'TABLE' END, n.nspname, c.relname)"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = :schema AND c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S')"
    " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass"
    " AND d.objid = c.oid AND c.relkind = 'S' AND d.deptype IN ('a', 'i'))"
    " ORDER BY c.relispartition DESC, c.relkind = 'S', c.oid LIMIT :portion"
)
# A role belongs to the whole server; a tenant of that name in another database keeps it.
_ROLE_IS_FREE = text(
    "SELECT count(*) FROM pg_roles r WHERE r.rolname = :schema AND NOT EXISTS"
    " (SELECT FROM pg_shdepend d WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = r.oid"
    " AND d.dbid NOT IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())))"
)
_NAMES = text(
    r"SELECT nspname FROM pg_namespace WHERE nspname LIKE 'tenant\_%'"
    " UNION SELECT schema_name FROM public.tenants ORDER BY 1"
)
_ROWS = text(
    "SELECT id, schema_name, revision, status FROM public.tenants"
    " WHERE schema_name = ANY(:schemas) FOR UPDATE"
)
_VERSIONED = text(
    "SELECT n.nspname, CASE WHEN c.oid IS NOT NULL THEN quote_ident(n.nspname) END"
    " FROM pg_namespace n LEFT JOIN pg_class c"
    " ON c.relnamespace = n.oid AND c.relname = 'alembic_version' AND c.relkind = 'r'"
    " WHERE n.nspname = ANY(:schemas)"
)
# Ready is who stands where public stands.
_REPAIR = text(
    "INSERT INTO public.tenants AS t (id, name, schema_name, revision, status)"
    " SELECT :id, :id, :schema, CAST(:revision AS text), CASE WHEN CAST(:revision AS text) IS NULL"
    " THEN 'provisioning' WHEN :revision = v.revision THEN 'ready' ELSE 'behind' END"
    " FROM (SELECT max(version_num) AS revision FROM public.alembic_version) AS v"
    " ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, status = excluded.status,"
    " updated_at = now()"
)
