"""Compares the registry with the existing schemas.

PostgreSQL locks each table that a transaction uses until its end, and has room for some
thousand locks; so an audit works in chunks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, text

from ...errors import ActionableError
from ..backends import backend
from ..config import MigrationConfig, default_config
from .listing import check_registry
from .registry import Registry, TenantStatus
from .roles import BECOME_OWNER, tenants_without_role
from .scope import PREFIX, schema_of

CHUNK = 100  # schemas per transaction


@dataclass(frozen=True)
class Finding:
    """A difference between the registry and the schemas, and its repair."""

    tenant: str
    problem: str
    repair: str


def audit_tenants(
    engine: Engine, *, repair: bool = False, config: MigrationConfig | None = None
) -> list[Finding]:
    """Compare the registry with the schemas and their revisions.

    Args:
        repair: correct the registry; schemas are not touched.

    Raises:
        ActionableError: no-registry, database-away, database-refuses.
    """
    config = config or default_config()
    check_registry(engine)
    if wrong := _wrong_rows(engine):
        return wrong  # the other checks depend on these rows
    findings = [
        Finding(tenant, "it has no role, or its role does not own all its objects", "tenant roles")
        for tenant in (tenants_without_role(engine) if config.tenant_roles else ())
    ]
    findings += _audit_schema_check(engine, repair=repair)
    with backend.reading(engine) as connection:
        schemas = Registry(connection).schemas()
    for start in range(0, len(schemas), CHUNK):
        with engine.begin() as connection:
            chunk = schemas[start : start + CHUNK]
            findings += list(_audit(connection, chunk, config.version_table, repair=repair))
    return findings


def _wrong_rows(engine: Engine) -> list[Finding]:
    with backend.reading(engine) as connection:
        return [
            Finding(tenant, f"its row names the schema {schema}", "nothing: correct the row")
            for tenant, schema in Registry(connection).rows_with_another_schema()
        ]


def _audit_schema_check(engine: Engine, *, repair: bool) -> Iterator[Finding]:
    # Services made with 0.1.0 have a registry without it, and keep their own migrations.
    with engine.begin() as connection:
        registry = Registry(connection)
        if not registry.has_schema_check():
            problem = "its column schema_name may name any schema"
            yield Finding("public.tenants", problem, "a CHECK binds it to the id")
            if repair:
                registry.add_schema_check()


def _audit(
    connection: Connection, schemas: Sequence[str], version_table: str, *, repair: bool
) -> Iterator[Finding]:
    registry = Registry(connection)
    registered = registry.lock(schemas)
    # A schema that is being dropped may disappear at any moment. Others cannot be dropped now:
    # their rows are locked.
    stable = [name for name in schemas if not _is_dropping(registered.get(name))]
    revisions = _revisions(connection, stable, version_table)
    for schema in schemas:
        tenant, row = schema.removeprefix(PREFIX), registered.get(schema)
        exists, revision = schema in revisions, revisions.get(schema)
        if _is_dropping(row):
            yield Finding(tenant, "its removal was interrupted", f"tenant drop {tenant} --yes")
        elif row is None and not exists:
            pass  # it was just removed
        elif row is None and not _is_legal(tenant):
            nothing = "nothing: it is not a valid name for a tenant; rename it"
            yield Finding(tenant, f"schema {schema} is not registered", nothing)
        elif row is not None and row.revision is not None and not exists:
            lost = "its schema is gone, and with it all its rows"
            yield Finding(tenant, lost, f"restore a backup, or: tenant drop {tenant} --yes")
            if repair:
                registry.record_failure(tenant, f"{tenant}: {lost}")
        elif row is None or revision != row.revision:
            if row is None:
                yield Finding(tenant, f"schema {schema} is not registered", "it is registered")
            else:
                problem = f"its schema is at {revision}, the registry says {row.revision}"
                yield Finding(tenant, problem, f"the registry says {revision}")
            if repair:
                registry.write_row(tenant, schema, revision, version_table)


def _revisions(
    connection: Connection, schemas: Sequence[str], version_table: str
) -> dict[str, str | None]:
    """Existing schemas, each with the revision in its own version table."""
    values = {"schemas": list(schemas), "version_table": version_table}
    found = connection.execute(_VERSIONED, values).all()
    revisions: dict[str, str | None] = {schema: None for schema, _ in found}
    for schema, table in found:
        if table is not None:
            connection.execute(BECOME_OWNER, {"schema": schema})
            query = f"SELECT max(version_num) FROM {table}"
            revisions[schema] = connection.exec_driver_sql(query).scalar()
            connection.exec_driver_sql("SET LOCAL ROLE NONE")
    return revisions


def _is_dropping(row: Any) -> bool:
    return row is not None and bool(row.status == TenantStatus.DROPPING)


def _is_legal(tenant: str) -> bool:
    try:
        schema_of(tenant)
    except ActionableError:
        return False
    return True


_VERSIONED = text(
    "SELECT n.nspname,"
    " CASE WHEN c.oid IS NOT NULL THEN format('%I.%I', n.nspname, c.relname) END"
    " FROM pg_namespace n LEFT JOIN pg_class c"
    " ON c.relnamespace = n.oid AND c.relname = :version_table AND c.relkind = 'r'"
    " WHERE n.nspname = ANY(:schemas)"
)
