"""Removes tenants.

PostgreSQL locks each object that a transaction drops until its end: tables with their indexes, but
also functions and types. It has room for some thousand locks, so a schema is emptied in chunks.
"""

from contextlib import suppress

import psycopg
from sqlalchemy import Connection, Engine, text

from ..backends.common import driver_connection
from ..config import MigrationConfig, default_config
from ..lock import migration_lock
from . import backfills
from .listing import find_tenant
from .registry import Registry
from .roles import BECOME_OWNER
from .scope import TenantScope

CHUNK = 50  # objects dropped per transaction


def drop_tenant(engine: Engine, tenant: str, *, config: MigrationConfig | None = None) -> None:
    """Remove a tenant with all its data. An interrupted removal can be continued.

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
            backfills.forget(connection, tenant)
        while _drop_chunk(engine, schema):
            pass
        with engine.begin() as connection:
            connection.execute(BECOME_OWNER, {"schema": schema})
            connection.exec_driver_sql(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')
            connection.exec_driver_sql("SET LOCAL ROLE NONE")
            Registry(connection).remove(tenant)
            if connection.scalar(_ROLE_IS_FREE, {"schema": schema}):
                _drop_role(connection, schema, config)


def _drop_role(connection: Connection, role: str, config: MigrationConfig) -> None:
    """Remove a role, unless a tenant of that name in another database begins to use it now."""
    wait = int(config.table_lock_timeout * 1000)
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {wait}")
    raw = driver_connection(connection)
    with suppress(*_IN_USE_OR_GONE), raw.transaction():  # a savepoint
        raw.execute(f'DROP ROLE "{role}"'.encode())


def _drop_chunk(engine: Engine, schema: str) -> bool:
    with engine.begin() as connection:
        statements = connection.scalars(_DROPS, {"schema": schema, "chunk": CHUNK}).all()
        connection.execute(BECOME_OWNER, {"schema": schema})
        for statement in statements:
            connection.exec_driver_sql(statement)
    return bool(statements)


# An object is dropped after all that depend on it: CASCADE would drop them in one transaction.
# So foreign keys are dropped before tables, and a table when it has no partition, no child table
# and no foreign key to it. (This cannot be split: a foreign key to a table of thousands of
# partitions.)
_DROPS = text(
    """
    SELECT statement FROM (
        SELECT 1 AS turn, -c.oid::bigint AS place, format('DROP %s IF EXISTS %I.%I CASCADE',
               CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'MATERIALIZED VIEW' END,
               n.nspname, c.relname) AS statement
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = :schema AND c.relkind IN ('v', 'm')
        UNION ALL
        SELECT 2, f.oid::bigint, format('ALTER TABLE IF EXISTS %I.%I DROP CONSTRAINT IF EXISTS %I',
               n.nspname, c.relname, f.conname)
        FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = :schema AND f.contype = 'f' AND f.conparentid = 0 AND c.relkind = 'r'
        UNION ALL
        SELECT 3, c.oid::bigint, format('DROP %s IF EXISTS %I.%I CASCADE',
               CASE c.relkind WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, n.nspname, c.relname)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = :schema AND c.relkind IN ('r', 'p', 'f')
        AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid)
        AND NOT EXISTS (SELECT FROM pg_constraint f WHERE f.contype = 'f'
                        AND f.confrelid = c.oid AND f.conrelid <> c.oid)
        UNION ALL
        SELECT 4, c.oid::bigint,
               format('DROP SEQUENCE IF EXISTS %I.%I CASCADE', n.nspname, c.relname)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = :schema AND c.relkind = 'S'
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                        AND d.objid = c.oid AND d.deptype IN ('a', 'i'))
        UNION ALL
        SELECT 5, p.oid::bigint, format('DROP ROUTINE IF EXISTS %s CASCADE', p.oid::regprocedure)
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = :schema
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass
                        AND d.objid = p.oid AND d.deptype IN ('i', 'e'))
        UNION ALL
        SELECT 6, t.oid::bigint, format('DROP TYPE IF EXISTS %I.%I CASCADE', n.nspname, t.typname)
        FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
        LEFT JOIN pg_class c ON c.oid = t.typrelid
        WHERE n.nspname = :schema AND (t.typtype IN ('e', 'd', 'r') OR c.relkind = 'c')
    ) AS things
    ORDER BY turn, place LIMIT :chunk
    """
)
_IN_USE_OR_GONE = (
    psycopg.errors.DependentObjectsStillExist,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.UndefinedObject,
    psycopg.errors.InternalError_,  # "tuple concurrently deleted"
)
# A role belongs to the whole server; it stays if a tenant of that name in another database uses it.
_ROLE_IS_FREE = text(
    "SELECT count(*) FROM pg_roles r WHERE r.rolname = :schema AND NOT EXISTS"
    " (SELECT FROM pg_shdepend d WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = r.oid"
    " AND d.dbid NOT IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())))"
)
