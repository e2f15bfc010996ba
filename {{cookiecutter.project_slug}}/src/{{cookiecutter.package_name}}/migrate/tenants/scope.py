"""The schemas: ``public`` for what belongs to no tenant, and one for each tenant."""

import re
from collections.abc import Callable

from sqlalchemy import Connection, MetaData, Table, text
from sqlalchemy.schema import BLANK_SCHEMA

from ..results import MigrationError
from ..scope import Scope
from ..transaction import in_autocommit
from .replay import Tape

SHARED_SCHEMA = "public"
PREFIX = "tenant_"
NAME_BYTES = 63  # PostgreSQL cuts longer names, silently
RESERVED = frozenset({"admin", "api", "public", "www"})  # labels of host names that are no one's

_ID = re.compile(r"[a-z0-9_]+")


def schema_of(tenant: str) -> str:
    """The schema of a tenant.

    Raises:
        MigrationError: the id is illegal, too long or reserved.
    """
    schema = PREFIX + tenant
    if not _ID.fullmatch(tenant) or len(schema) > NAME_BYTES:
        raise MigrationError(
            f"{tenant[:NAME_BYTES]!r} cannot be the id of a tenant.",
            "Nothing was done.",
            f"Use a-z, 0-9 and underscores, {NAME_BYTES - len(PREFIX)} at most: acme_inc",
        )
    if tenant in RESERVED:
        raise MigrationError(
            f"{tenant!r} is reserved and cannot be the id of a tenant.",
            "Nothing was done.",
            "Choose another id.",
        )
    return schema


class SharedScope(Scope):
    """The schema ``public``: tables that belong to no tenant."""

    schemas = "shared"

    def runs(self, schemas: str | None) -> bool:
        return schemas in ("shared", "all")

    def tables(self, metadata: MetaData) -> MetaData:
        shared = MetaData(naming_convention=metadata.naming_convention)
        for table in metadata.tables.values():
            if table.schema == SHARED_SCHEMA:
                table.to_metadata(
                    shared,
                    schema=None,  # type: ignore[arg-type]
                    referred_schema_fn=lambda *_: BLANK_SCHEMA,  # type: ignore[arg-type]
                )
        return shared


class TenantScope(Scope):
    """One tenant's schema. The registry's row moves in the transactions of its migrations.

    Attributes:
        target: the revision at which the tenant is ready.
        label: the name a new tenant gets in the registry; without one it must be there.
        role: whether the schema belongs to a role of its own.
        tape: records what the migrations execute.
        elsewhere: the status of the tenant at any other revision; what it was when left out.
        has_begun: whether the schema was touched, if only to undo it again.
    """

    def runs(self, schemas: str | None) -> bool:
        return schemas in (None, "tenants", "all")

    def __init__(
        self,
        tenant: str,
        target: str | None,
        *,
        label: str | None = None,
        role: bool = False,
        tape: Tape | None = None,
        elsewhere: str | None = None,
    ) -> None:
        self.tenant = tenant
        self.name = schema_of(tenant)
        self.target = target
        self.label = label
        self.role = role
        self.tape = tape
        self.elsewhere = elsewhere
        self.has_begun = False

    def tables(self, metadata: MetaData) -> MetaData:
        own = MetaData(naming_convention=metadata.naming_convention)
        for table in metadata.tables.values():
            if table.schema is None:
                table.to_metadata(own)
        return own

    def begin(self, connection: Connection) -> None:
        row = {"id": self.tenant, "name": self.label, "schema": self.name}
        if self.label is not None:
            connection.execute(_REGISTER, row)
        status = connection.scalar(_STATUS, row)
        if status is None:
            raise unknown(self.tenant)
        if status == "dropping":
            raise MigrationError(
                f"{self.tenant} is being removed.",
                "Nothing was done.",
                f"Finish that first: tenant drop {self.tenant} --yes",
            )
        self.has_begun = True
        if not connection.scalar(_SCHEMA_EXISTS, row):
            role = self.role and not self._role_exists(connection)
            for statement in creation(
                self.name, owned=self.role, role=role, citus=has_citus(connection)
            ):
                connection.exec_driver_sql(statement)

    def enter(self, connection: Connection) -> None:
        # Outside a transaction there is no LOCAL; the connection is thrown away afterwards.
        local = "" if in_autocommit(connection) else "LOCAL "
        # Of a tenant that is not there yet nothing can be read, whoever asks.
        role = self.role and (self.has_begun or self._role_exists(connection))
        for statement in entrance(self.name, role=role, local=local):
            connection.exec_driver_sql(statement)
        if self.tape is not None:
            self.tape.begin(connection)

    def commit(self, connection: Connection) -> None:
        if in_autocommit(connection):
            return
        if self.tape is not None:
            self.tape.commit()
        if self.role:
            connection.exec_driver_sql("SET LOCAL ROLE NONE")
        values = {"target": self.target, "id": self.tenant, "elsewhere": self.elsewhere}
        connection.execute(_MOVED, values)

    def around(self, body: Callable[..., None]) -> Callable[..., None]:
        return body if self.tape is None else self.tape.around(body)

    def _role_exists(self, connection: Connection) -> bool:
        return bool(connection.scalar(_ROLE_EXISTS, {"schema": self.name}))


_REGISTER = text(
    "INSERT INTO public.tenants (id, name, schema_name) VALUES (:id, :name, :schema)"
    " ON CONFLICT (id) DO NOTHING"
)
_STATUS = text("SELECT status FROM public.tenants WHERE id = :id")
_SCHEMA_EXISTS = text("SELECT count(*) FROM pg_namespace WHERE nspname = :schema")
# A role belongs to the whole server: a tenant of that name in another database may have made it.
_ROLE_EXISTS = text("SELECT count(*) FROM pg_roles WHERE rolname = :schema")
_MOVED = text(
    "UPDATE public.tenants AS t SET updated_at = now(), error = NULL, revision = v.revision,"
    " status = CASE WHEN v.revision IS NOT DISTINCT FROM CAST(:target AS text) THEN 'ready'"
    " ELSE coalesce(CAST(:elsewhere AS text), t.status) END"
    " FROM (SELECT (SELECT version_num FROM alembic_version) AS revision) AS v"
    " WHERE t.id = :id AND t.status <> 'dropping'"
)


def creation(schema: str, *, owned: bool, role: bool, citus: bool) -> list[str]:
    """Statements that make a tenant's schema: plain ones, so that Citus sees each.

    Args:
        owned: whether the schema belongs to a role of its own.
        role: whether that role must be made.
    """
    statements = ["SET LOCAL citus.enable_schema_based_sharding TO on"] if citus else []
    if role:
        statements.append(f'CREATE ROLE "{schema}" NOLOGIN')
        statements.append(f'GRANT "{schema}" TO CURRENT_USER')
    owner = f' AUTHORIZATION "{schema}"' if owned else ""
    return [*statements, f'CREATE SCHEMA "{schema}"{owner}']


def entrance(schema: str, *, role: bool, local: str = "LOCAL ") -> list[str]:
    """Statements that make unqualified names mean this schema's tables, and never public's."""
    path = f'SET {local}search_path TO "{schema}", pg_temp'
    return [path, f'SET {local}ROLE "{schema}"'] if role else [path]


def has_citus(connection: Connection) -> bool:
    """Whether schemas can be spread over machines here."""
    return bool(connection.scalar(text("SELECT count(*) FROM pg_extension WHERE extname='citus'")))


def unknown(tenant: str) -> MigrationError:
    """The error of a tenant that is not in the registry."""
    return MigrationError(
        f"There is no tenant {tenant!r}.", "Nothing was done.", "See them all: tenant list"
    )


def refuse_foreign_keys_to_shared(metadata: MetaData) -> None:
    """Refuse models in which a tenant's table points to a shared one.

    Raises:
        MigrationError: with the first such column.
    """
    for table in metadata.tables.values():
        for key in table.foreign_keys:
            if table.schema is None and key.target_fullname.startswith(f"{SHARED_SCHEMA}."):
                raise _foreign_key_to_shared(table, key.parent.name, key.target_fullname)


def _foreign_key_to_shared(table: Table, column: str, target: str) -> MigrationError:
    return MigrationError(
        f"{table.name}.{column} is a foreign key to {target}.",
        "Each new tenant would lock the shared table, and with some thousand tenants a row of it"
        " could no longer be deleted.",
        "Keep the value without a foreign key, or move the table to the same side.",
    )
