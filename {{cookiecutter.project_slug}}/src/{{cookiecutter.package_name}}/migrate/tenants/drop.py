"""Removes tenants.

PostgreSQL locks each table that a transaction touches until it ends, and has room for some
thousands; so a schema is emptied in chunks.
"""

from sqlalchemy import Engine, text

from ..config import MigrationConfig, default_config
from ..lock import migration_lock
from .registry import Registry, find_tenant
from .roles import BECOME_OWNER
from .scope import TenantScope

CHUNK = 100  # tables dropped by one transaction


def drop_tenant(engine: Engine, tenant: str, *, config: MigrationConfig | None = None) -> None:
    """Remove a tenant and everything it has. A removal that was cut short can be continued.

    Raises:
        ActionableError: there is no such tenant, or it is being migrated.
    """
    config = config or default_config()
    scope = TenantScope(tenant, None)
    schema = scope.name
    find_tenant(engine, tenant)
    with migration_lock(engine, config.lock_timeout, schema):
        with engine.begin() as connection:
            Registry(connection).begin_removal(tenant)
        while _drop_chunk(engine, schema):
            pass
        with engine.begin() as connection:
            connection.execute(BECOME_OWNER, {"schema": schema})
            connection.exec_driver_sql(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')
            connection.exec_driver_sql("SET LOCAL ROLE NONE")
            if connection.scalar(_ROLE_IS_FREE, {"schema": schema}):
                connection.exec_driver_sql(f'DROP ROLE "{schema}"')
            Registry(connection).remove(tenant)


def _drop_chunk(engine: Engine, schema: str) -> bool:
    with engine.begin() as connection:
        statements = connection.scalars(_DROPS, {"schema": schema, "chunk": CHUNK}).all()
        connection.execute(BECOME_OWNER, {"schema": schema})
        for statement in statements:
            connection.exec_driver_sql(statement)
    return bool(statements)


# Partitions go before what they are parts of, and sequences that a column owns go with it.
_DROPS = text(
    "SELECT format('DROP %s IF EXISTS %I.%I CASCADE', CASE c.relkind WHEN 'v' THEN 'VIEW'"
    " WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE'"
    " ELSE 'TABLE' END, n.nspname, c.relname)"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = :schema AND c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S')"
    " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass"
    " AND d.objid = c.oid AND c.relkind = 'S' AND d.deptype IN ('a', 'i'))"
    " ORDER BY c.relispartition DESC, c.relkind = 'S', c.oid LIMIT :chunk"
)
# A role belongs to the whole server; a tenant of that name in another database keeps it.
_ROLE_IS_FREE = text(
    "SELECT count(*) FROM pg_roles r WHERE r.rolname = :schema AND NOT EXISTS"
    " (SELECT FROM pg_shdepend d WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = r.oid"
    " AND d.dbid NOT IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())))"
)
