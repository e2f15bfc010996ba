"""``public.tenants``: who is a tenant, and who is behind. Also audits it, and removes tenants."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, text

from .config import MigrationConfig, service_config
from .lock import migration_lock
from .results import MigrationError
from .tenants import PREFIX, check_registry, schema_of
from .transaction import reading

PORTION = 100  # schemas or tables touched by one statement: each takes locks until it ends


@dataclass(frozen=True)
class TenantRow:
    """A tenant as the registry has it.

    Attributes:
        status: provisioning, ready, failed or dropping.
        error: why the last migration failed.
    """

    id: str
    name: str
    status: str
    revision: str | None
    error: str | None
    created_at: datetime


@dataclass(frozen=True)
class Finding:
    """A place where registry and schemas do not agree, and what a repair does about it."""

    tenant: str
    problem: str
    repair: str


def list_tenants(engine: Engine, *, after: str = "", limit: int | None = None) -> list[TenantRow]:
    """Tenants by id, those behind ``after`` first, ``limit`` at most."""
    check_registry(engine)
    query = text(
        "SELECT id, name, status, revision, error, created_at FROM public.tenants"
        " WHERE id > :after ORDER BY id LIMIT :limit"
    )
    with reading(engine) as connection:
        rows = connection.execute(query, {"after": after, "limit": limit})
        return [TenantRow(*row) for row in rows]


def find_tenant(engine: Engine, tenant: str) -> TenantRow:
    """One tenant.

    Raises:
        MigrationError: there is no such tenant.
    """
    check_registry(engine)
    query = text(
        "SELECT id, name, status, revision, error, created_at FROM public.tenants WHERE id = :id"
    )
    with reading(engine) as connection:
        row = connection.execute(query, {"id": tenant}).first()
    if row is None:
        raise MigrationError(
            f"There is no tenant {tenant!r}.", "Nothing was done.", "See them all: tenant list"
        )
    return TenantRow(*row)


def count_tenants_behind(engine: Engine, revision: str | None) -> int:
    """How many tenants are not ready at ``revision``; 4 ms at 10,000 tenants."""
    check_registry(engine)
    query = text(
        "SELECT count(*) FROM public.tenants"
        " WHERE status <> 'ready' OR revision IS DISTINCT FROM :revision"
    )
    with reading(engine) as connection:
        return int(connection.scalar(query, {"revision": revision}) or 0)


def count_by_revision(engine: Engine) -> list[tuple[str | None, str, int]]:
    """Revision, status, and how many tenants stand there."""
    check_registry(engine)
    query = text(
        "SELECT revision, status, count(*) FROM public.tenants GROUP BY 1, 2 ORDER BY 1, 2"
    )
    with reading(engine) as connection:
        return [(row[0], row[1], row[2]) for row in connection.execute(query)]


def drop_tenant(engine: Engine, tenant: str, *, config: MigrationConfig | None = None) -> None:
    """Remove a tenant and everything it has. A removal that was cut short can be continued.

    Tables go in portions: PostgreSQL locks each until the transaction ends, and has room for some
    thousands.

    Raises:
        MigrationError: there is no such tenant, or it is being migrated.
    """
    config = config or service_config()
    schema = schema_of(tenant)
    find_tenant(engine, tenant)
    with migration_lock(engine, config.lock_timeout, schema):
        with engine.begin() as connection:
            gone = text("UPDATE public.tenants SET status = 'dropping' WHERE id = :id")
            connection.execute(gone, {"id": tenant})
        while tables := _tables(engine, schema):
            names = ", ".join(f'"{schema}".{table}' for table in tables)
            with engine.begin() as connection:
                connection.exec_driver_sql(f"DROP TABLE {names} CASCADE")
        with engine.begin() as connection:
            connection.exec_driver_sql(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')
            if config.tenant_roles:
                connection.exec_driver_sql(f'DROP ROLE IF EXISTS "{schema}"')
            connection.execute(text("DELETE FROM public.tenants WHERE id = :id"), {"id": tenant})


def audit_tenants(engine: Engine, *, repair: bool = False) -> list[Finding]:
    """Compare the registry with the schemas and what each says of itself.

    Args:
        repair: make the registry say what is true; schemas are not touched.
    """
    check_registry(engine)
    findings = []
    with engine.begin() as connection:
        stands = dict(_stands(connection))
        rows = connection.execute(text("SELECT id, schema_name, revision FROM public.tenants"))
        registered = {row.schema_name: (row.id, row.revision) for row in rows}
        for schema, (tenant, revision) in sorted(registered.items()):
            if schema not in stands:
                findings.append(
                    Finding(tenant, "it has no schema", "it is made anew by the next migration")
                )
                _set(connection, tenant, None)
            elif stands[schema] != revision:
                problem = f"its schema is at {stands[schema]}, the registry says {revision}"
                findings.append(Finding(tenant, problem, f"the registry says {stands[schema]}"))
                _set(connection, tenant, stands[schema])
        for schema in sorted(stands.keys() - registered.keys()):
            tenant = schema.removeprefix(PREFIX)
            findings.append(
                Finding(tenant, f"schema {schema} is not registered", "it is registered")
            )
            _register(connection, tenant, schema, stands[schema])
        if not repair:
            connection.rollback()
    return findings


def _tables(engine: Engine, schema: str) -> list[str]:
    query = text(
        "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = :schema LIMIT :portion"
    )
    with reading(engine) as connection:
        return list(connection.scalars(query, {"schema": schema, "portion": PORTION}))


def _stands(connection: Connection) -> Iterator[tuple[str, str | None]]:
    """Each tenant's schema and the revision in its ``alembic_version``."""
    schemas = text(
        "SELECT n.nspname, c.oid IS NOT NULL FROM pg_namespace n LEFT JOIN pg_class c"
        " ON c.relnamespace = n.oid AND c.relname = 'alembic_version'"
        r" WHERE n.nspname LIKE 'tenant\_%' ORDER BY 1"
    )
    rows = connection.execute(schemas).all()
    yield from ((schema, None) for schema, has_version in rows if not has_version)
    for portion in _portions([schema for schema, has_version in rows if has_version]):
        union = " UNION ALL ".join(
            f"SELECT '{schema}', (SELECT max(version_num) FROM \"{schema}\".alembic_version)"
            for schema in portion
        )
        yield from ((row[0], row[1]) for row in connection.exec_driver_sql(union))


def _portions(schemas: list[str]) -> Iterable[list[str]]:
    return (schemas[start : start + PORTION] for start in range(0, len(schemas), PORTION))


def _set(connection: Connection, tenant: str, revision: str | None) -> None:
    status = "ready" if revision else "provisioning"
    connection.execute(
        text("UPDATE public.tenants SET revision = :revision, status = :status WHERE id = :id"),
        {"id": tenant, "revision": revision, "status": status},
    )


def _register(connection: Connection, tenant: str, schema: str, revision: str | None) -> None:
    connection.execute(
        text(
            "INSERT INTO public.tenants (id, name, schema_name, revision, status)"
            " VALUES (:id, :id, :schema, :revision, :status)"
        ),
        {
            "id": tenant,
            "schema": schema,
            "revision": revision,
            "status": "ready" if revision else "provisioning",
        },
    )
