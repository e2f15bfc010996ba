"""A PostgreSQL role for each tenant: it owns the tenant's schema and all objects in it.

The role has the schema's name and cannot log in. The service's own role may switch to it and, from
PostgreSQL 16 on, has none of its privileges until it does: a statement outside of a
tenant reaches no tenant's table. Before 16 the service's role inherits these privileges, unless you
run ``ALTER ROLE service NOINHERIT``. A superuser always reaches everything.
"""

from sqlalchemy import Connection, Engine, text

from ..backends import backend
from ..config import MigrationConfig, default_config
from ..lock import migration_lock
from . import errors
from .registry import Registry
from .scope import grant_role, has_citus, make_role, schema_of

CHUNK = 100  # tables locked per transaction


def tenants_without_role(engine: Engine) -> list[str]:
    """Tenants whose role is missing, cannot be used, or does not own the whole schema.

    Empty if there is no registry yet.

    Raises:
        ActionableError: database-away, database-refuses.
    """
    with backend.reading(engine) as connection:
        return list(connection.scalars(_LACKING)) if Registry(connection).exists() else []


def make_tenant_roles(engine: Engine, *, config: MigrationConfig | None = None) -> list[str]:
    """Create the missing roles, and make each the owner of its tenant's schema and objects.

    It handles one tenant at a time, each under its lock; the tenant is served again when its role
    owns everything. An interrupted call continues when it is called again.

    Returns:
        The tenants that were changed.

    Raises:
        ActionableError: roles-on-citus; a tenant is being migrated, or the database does not answer.
        sqlalchemy.exc.ProgrammingError: the service's role has no permission: it needs CREATEROLE,
            and must own the objects.
    """
    config = config or default_config()
    lacking = tenants_without_role(engine)
    with backend.reading(engine) as connection:
        if has_citus(connection):
            raise errors.roles_on_citus()
    for tenant in lacking:
        with migration_lock(engine, config.lock_timeout, schema_of(tenant)):
            _make_role(engine, tenant)
        config.observer.tenant_finished(tenant, None, len(lacking))
    return lacking


def _make_role(engine: Engine, tenant: str) -> None:
    schema = schema_of(tenant)
    with engine.begin() as connection:
        make_role(connection, schema)
        connection.exec_driver_sql(grant_role(schema, connection.dialect))
        if connection.scalar(_OWNS_SCHEMA, {"schema": schema}):
            connection.exec_driver_sql(f'GRANT CREATE, USAGE ON SCHEMA "{schema}" TO "{schema}"')
    while _give_chunk(engine, schema):
        pass
    with engine.begin() as connection:  # last: this shows that a tenant is done
        if connection.scalar(_OWNS_SCHEMA, {"schema": schema}):
            connection.exec_driver_sql(f'ALTER SCHEMA "{schema}" OWNER TO "{schema}"')


def _give_chunk(engine: Engine, schema: str) -> bool:
    with engine.begin() as connection:
        statements = _changes_of_owner(connection, schema)
        for statement in statements:
            connection.exec_driver_sql(statement)
    return bool(statements)


def _changes_of_owner(connection: Connection, schema: str) -> list[str]:
    return list(connection.scalars(_FOREIGN, {"schema": schema, "chunk": CHUNK}))


# Sets the role that owns the schema, if it is the tenant's own, until the transaction ends.
BECOME_OWNER = text(
    "SELECT set_config('role', n.nspname, true) FROM pg_namespace n"
    " WHERE n.nspname = :schema AND pg_get_userbyid(n.nspowner) = n.nspname"
)

_OWNS_SCHEMA = text(
    "SELECT count(*) FROM pg_namespace WHERE nspname = :schema"
    " AND pg_get_userbyid(nspowner) <> nspname"
)
_LACKING = text(
    "SELECT t.id FROM public.tenants t JOIN pg_namespace n ON n.nspname = t.schema_name"
    " LEFT JOIN pg_roles r ON r.rolname = n.nspname"
    " WHERE t.status <> 'dropping' AND"
    " (r.oid IS NULL OR n.nspowner <> r.oid OR NOT pg_has_role(session_user, r.oid, 'MEMBER')"
    # From 16 on, the service's role must not have the privileges of a role to which it may switch.
    " OR (current_setting('server_version_num')::int >= 160000"
    " AND pg_has_role(session_user, r.oid, 'USAGE')"
    " AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = session_user))"
    " OR EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND c.relowner <> r.oid)"
    " OR EXISTS (SELECT FROM pg_type y WHERE y.typnamespace = n.oid AND y.typowner <> r.oid)"
    " OR EXISTS (SELECT FROM pg_proc p WHERE p.pronamespace = n.oid AND p.proowner <> r.oid))"
    " ORDER BY t.id"
)
# Sequences of a column, indexes, and the types of tables and of arrays follow their owners.
_FOREIGN = text(
    "WITH n AS (SELECT n.oid, r.oid AS role, n.nspname FROM pg_namespace n"
    " JOIN pg_roles r ON r.rolname = n.nspname WHERE n.nspname = :schema)"
    " SELECT format('ALTER %s %s OWNER TO %I', kind, name, nspname) FROM ("
    " SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'"
    " WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'c' THEN 'TYPE'"
    " ELSE 'TABLE' END AS kind, format('%I.%I', n.nspname, c.relname) AS name, n.nspname"
    " FROM pg_class c JOIN n ON c.relnamespace = n.oid AND c.relowner <> n.role"
    " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c')"
    " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass"
    " AND d.objid = c.oid AND c.relkind = 'S' AND d.deptype IN ('a', 'i'))"
    " UNION ALL SELECT 'TYPE', format('%I.%I', n.nspname, y.typname), n.nspname"
    " FROM pg_type y JOIN n ON y.typnamespace = n.oid AND y.typowner <> n.role"
    " WHERE y.typtype IN ('e', 'd', 'r')"
    " UNION ALL SELECT 'ROUTINE', format('%I.%I(%s)', n.nspname, p.proname,"
    " pg_get_function_identity_arguments(p.oid)), n.nspname"
    " FROM pg_proc p JOIN n ON p.pronamespace = n.oid AND p.proowner <> n.role"
    " WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass"
    " AND d.objid = p.oid AND d.deptype = 'i')"
    " ) AS objects LIMIT :chunk"
)
