"""Backups of tenants: their files, and the restore of a single tenant."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from ..backends import backend
from ..backends.postgresql.backup import role_apart
from ..backup import BackupOptions, Layout, Manifest, Part, Restored, TenantFacts
from ..backup.create import create_backup
from ..backup.errors import restored_differs
from ..backup.restore import left_alone, opened, read_own_manifest
from ..config import MigrationConfig
from ..drift import read_fingerprints
from . import backfills, errors
from .listing import check_registry, find_tenant
from .registry import Registry
from .replace_schema import replace_schema
from .scope import grant_role, has_citus, make_role, role_exists, schema_of


class TenantLayout(Layout):
    """One file for all, or one for each tenant and one for the rest.

    Args:
        each: whether each tenant has its own file.
    """

    def __init__(self, *, each: bool = False) -> None:
        self._each = each

    def parts(self, connection: Connection, schemas: Sequence[str] | None) -> list[Part]:
        registry = Registry(connection)
        rows = registry.rows_for_backup() if registry.exists() else []
        every = [(row.id, row.schema_name) for row in rows]
        if schemas is None:
            if not self._each:
                return [Part()]
            rest = Part(without=tuple(schema for _, schema in every))
            return [rest, *(Part(tenant, (schema,)) for tenant, schema in every)]
        chosen = [(tenant, schema) for tenant, schema in every if schema in set(schemas)]
        if self._each:
            return [Part(tenant, (schema,)) for tenant, schema in chosen]
        return [Part(schemas=tuple(schema for _, schema in chosen))] if chosen else []

    def tenants(self, connection: Connection, parts: Sequence[Part]) -> dict[str, TenantFacts]:
        registry = Registry(connection)
        rows = registry.rows_for_backup() if registry.exists() else []
        part_of = {schema: part.name for part in parts for schema in part.schemas}
        whole = parts == [Part()]
        rows = [row for row in rows if whole or row.schema_name in part_of]
        fingerprints = read_fingerprints(connection, [row.schema_name for row in rows])
        progress = backfills.rows_for_backup(connection)
        return {
            row.id: TenantFacts(
                part_of.get(row.schema_name, ""),
                row.revision,
                fingerprints[row.schema_name],
                row.as_json | {"backfills": progress.get(row.id, [])},
            )
            for row in rows
        }

    def differing(self, connection: Connection, tenants: Mapping[str, TenantFacts]) -> list[str]:
        """Those whose schema differs from the saved one.

        Raises:
            ActionableError: tenant-id-reserved, tenant-id-unusable.
        """
        schemas = {schema_of(tenant): tenant for tenant in tenants}
        found = read_fingerprints(connection, schemas)
        return [
            tenant
            for schema, tenant in schemas.items()
            if found.get(schema) != tenants[tenant].fingerprint
        ]


def create_tenant_backup(
    engine: Engine,
    config: MigrationConfig,
    options: BackupOptions,
    tenant: str,
) -> Manifest | None:
    """Save one tenant; None if it has no schema yet.

    Raises:
        ActionableError: there is no such tenant; and as for ``create_backup``.
    """
    find_tenant(engine, tenant)
    return create_backup(engine, config, options, [schema_of(tenant)])


def restore_tenant(
    engine: Engine,
    config: MigrationConfig,
    options: BackupOptions,
    name: str,
    tenant: str,
) -> Restored:
    """Replace one tenant's schema, and its row in the registry, by those of a backup.

    It is one transaction, so other tenants are not touched and nobody sees an intermediate state.
    Large objects belong to the database and not to a schema: they are not restored.

    Args:
        name: the backup; it may be one of the whole database.
        tenant: its id. It may have been dropped since.

    Raises:
        ActionableError: as for ``restore_backup``; tenant-not-in-backup.
    """
    schema = schema_of(tenant)
    manifest = read_own_manifest(config, options, name)
    if (facts := manifest.tenants.get(tenant)) is None:
        raise errors.tenant_not_in_backup(tenant, name)
    check_registry(engine)
    is_compared = False

    def prepare(connection: Connection) -> None:
        # First, since a running chunk locks its row of progress before its table.
        backfills.forget(connection, tenant)
        _own(connection, schema, with_role=schema in manifest.needs["roles"])

    def finish(connection: Connection) -> None:
        nonlocal is_compared
        if has_citus(connection):
            _distribute(connection, schema)
        config.observer.step_started("Comparing it with the manifest")
        is_compared = backend.snapshot.version(connection) == manifest.database
        found = read_fingerprints(connection, [schema]).get(schema)
        if is_compared and found != facts.fingerprint:
            raise restored_differs(name, f"the schema of {tenant} has another fingerprint")
        _register(connection, config, tenant, facts)
        _disown(connection, schema)

    try:
        with (
            left_alone(engine, config),
            left_alone(engine, config, schema),
            opened(options, manifest, [manifest.file_of(facts.part)], config.observer) as (file,),
        ):
            config.observer.step_started(f"Restoring {tenant} into a new schema")
            when = datetime.now(UTC)
            kept = replace_schema(
                engine,
                options.client,
                file,
                schema,
                when,
                lock_timeout=config.table_lock_timeout,
                prepare=prepare,
                finish=finish,
            )
    except SQLAlchemyError as error:
        raise backend.explain(engine, error) from error
    return Restored(kept, is_compared)


def _own(connection: Connection, schema: str, *, with_role: bool) -> None:
    """Give this session the rights of the tenant's role, if any, until the transaction ends."""
    if with_role:
        make_role(connection, schema)
    if role_exists(connection, schema) and role_apart(connection, schema):
        connection.exec_driver_sql(f'GRANT "{schema}" TO CURRENT_USER WITH INHERIT TRUE')


def _distribute(connection: Connection, schema: str) -> None:
    # Only now: Citus refuses some of pg_restore's statements for a table that is not on this machine.
    connection.execute(_TO_A_MACHINE, {"schema": schema})
    connection.execute(_WITHOUT_COPIES, {"schema": schema})


_TO_A_MACHINE = text("SELECT citus_schema_distribute(CAST(:schema AS regnamespace))")
# The rows stay on this machine as well, where nobody sees them.
_WITHOUT_COPIES = text(
    "SELECT truncate_local_data_after_distributing_table(oid) FROM pg_catalog.pg_class"
    " WHERE relnamespace = CAST(:schema AS regnamespace) AND relkind IN ('r', 'p')"
    " AND NOT relispartition"
)


def _disown(connection: Connection, schema: str) -> None:
    if connection.scalar(_INHERITS, {"schema": schema}):
        connection.exec_driver_sql(grant_role(schema, connection.dialect))


# The grant of ``_own`` to the service's role; a superuser needs none.
_INHERITS = text(
    "SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid"
    " WHERE r.rolname = :schema AND m.member = CAST(CAST(current_user AS regrole) AS oid)"
    " AND to_jsonb(m) ->> 'inherit_option' = 'true'"
)


def _register(
    connection: Connection, config: MigrationConfig, tenant: str, facts: TenantFacts
) -> None:
    schema = schema_of(tenant)
    registry = Registry(connection)
    registry.restore_row(json.dumps(facts.row))
    backfills.restore_rows(connection, tenant, facts.row.get("backfills", ()))
    version = f'SELECT max(version_num) FROM "{schema}"."{config.version_table}"'
    revision = connection.exec_driver_sql(version).scalar()
    registry.write_row(tenant, schema, revision, config.version_table)
