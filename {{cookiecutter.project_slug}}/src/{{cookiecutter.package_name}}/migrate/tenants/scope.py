"""The scopes of a multi-tenant service: the shared schema ``public``, and one for each tenant."""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress

from psycopg.errors import DuplicateObject, UndefinedObject, UniqueViolation
from sqlalchemy import Connection, Dialect, MetaData, text
from sqlalchemy.schema import BLANK_SCHEMA

from ..backends.common import driver_connection, in_autocommit
from ..scope import Fills, Scope
from . import errors
from .backfills import SHARED_SCHEMA, TenantBackfills
from .creation_lock import check_release
from .recording import Recording
from .registry import Registry, TenantStatus, set_revision

PREFIX = "tenant_"
NAME_BYTES = 63  # PostgreSQL silently cuts longer names
RESERVED = frozenset({"admin", "api", "public", "www"})  # host name labels for no tenant

_ID = re.compile(r"[a-z0-9_]+")


def schema_of(tenant: str) -> str:
    """The schema of a tenant.

    Raises:
        ActionableError: the id is illegal, too long or reserved.
    """
    schema = PREFIX + tenant
    if not _ID.fullmatch(tenant) or len(schema) > NAME_BYTES:
        raise errors.tenant_id_unusable(tenant, NAME_BYTES - len(PREFIX))
    if tenant in RESERVED:
        raise errors.tenant_id_reserved(tenant)
    return schema


class SharedScope(Scope):
    """The schema ``public``: tables that belong to no tenant."""

    schemas = "shared"
    needs_entering = True
    has_tenants = True
    shared_schema = SHARED_SCHEMA

    def runs(self, schemas: str | None) -> bool:
        return schemas in ("shared", "all")

    def scratch_kinds(self) -> tuple[Scope, ...]:
        """See ``Scope``.

        Raises:
            ActionableError: tenant-id-reserved, tenant-id-unusable: not for the name that is used
            here.
        """
        return self, ScratchTenantScope()

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

    def of_tenant(self, tenant: str, *, role: bool) -> Scope:
        """See ``Scope``.

        Raises:
            ActionableError: tenant-id-reserved, tenant-id-unusable.
        """
        return ChunkScope(tenant, None, role=role) if tenant else self

    def count_lagging(self, connection: Connection, revisions: Sequence[str]) -> int:
        registry = Registry(connection)
        return registry.count_lagging(revisions) if registry.exists() else 0

    def kinds(self) -> tuple[Scope, ...]:
        """See ``Scope``.

        Raises:
            ActionableError: tenant-id-reserved, tenant-id-unusable: not for the name that is used
            here.
        """
        return (self, TenantScope("scratch", None))

    def find(self, name: str) -> Scope | None:
        """See ``Scope``.

        Raises:
            ActionableError: tenant-id-reserved, tenant-id-unusable.
        """
        prefix, found, tenant = name.partition(":")
        return TenantScope(tenant, None) if (prefix, found) == ("tenant", ":") else None

    def enter(self, connection: Connection, *, for_session: bool = False) -> None:
        # The default search path of the service's connections is empty; that of pooled ones is
        # unknown.
        local = "" if for_session else "LOCAL "
        connection.exec_driver_sql(f"SET {local}search_path TO {SHARED_SCHEMA}, pg_temp")

    def restore(self, connection: Connection) -> None:
        self.enter(connection)


class TenantScope(Scope):
    """One tenant's schema. The registry's row changes in the transactions of its migrations.

    Attributes:
        target: the revision at which the tenant is ready.
        display_name: the name of a new tenant in the registry; without it the tenant must exist.
        role: whether the schema belongs to its own role.
        version_table: name of Alembic's table.
        known_revisions: those of this release; a tenant can be created only if public is at one.
        recording: records the executed statements.
        status_when_not_at_target: the tenant's status at any other revision than the target;
            default: unchanged.
        backfills: those of the chain; None if the tenant's rows are not to be changed.
        is_new: whether no migration was ever applied to it.
        has_begun: whether the schema was changed, even if this was undone.
    """

    needs_entering = True
    has_tenants = True
    kind = "tenants"
    shared_schema = SHARED_SCHEMA
    has_gate = False  # the tenants follow the shared schema

    def __init__(
        self,
        tenant: str,
        target: str | None,
        *,
        display_name: str | None = None,
        role: bool = False,
        version_table: str = "alembic_version",
        known_revisions: Collection[str] | None = None,
        recording: Recording | None = None,
        status_when_not_at_target: TenantStatus | None = None,
        backfills: TenantBackfills | None = None,
    ) -> None:
        self.tenant: str = tenant
        self.name = schema_of(tenant)
        self.target = target
        self.display_name = display_name
        self.role = role
        self.version_table = version_table
        self.known_revisions = known_revisions
        self.recording = recording
        self.status_when_not_at_target = status_when_not_at_target
        self.backfills = backfills
        self.is_new = False
        self.has_begun = False

    @property
    def fills(self) -> Fills:
        return Fills.AT_ONCE if self.is_new and self.backfills else Fills.BY_SCOPE

    def runs(self, schemas: str | None) -> bool:
        return schemas in (None, "tenants", "all")

    def scratch_steps(self) -> tuple[Scope, ...]:
        """See ``Scope``.

        Raises:
            ActionableError: tenant-id-reserved, tenant-id-unusable: not for the name that is used
            here.
        """
        # A baseline of older tables may come before the migration that creates the registry.
        return (SharedScope(), ScratchTenantScope())

    def tables(self, metadata: MetaData) -> MetaData:
        of_tenants = MetaData(naming_convention=metadata.naming_convention)
        for table in metadata.tables.values():
            if table.schema is None:
                table.to_metadata(of_tenants)
        return of_tenants

    def begin(self, connection: Connection) -> None:
        """Look the tenant up, and create its schema if it is missing.

        Raises:
            ActionableError: no-such-tenant, tenant-being-removed, schema-missing, roles-on-citus.
        """
        registry = Registry(connection)
        if self.display_name is not None:
            registry.add(self.tenant, self.display_name, self.name)
        row = registry.find(self.tenant)
        if row is None:
            raise errors.no_such_tenant(self.tenant)
        if row.status == TenantStatus.DROPPING:
            raise errors.tenant_being_removed(self.tenant)
        for claim in self.backfills.begin(self.tenant) if self.backfills else ():
            registry.execute(claim)
        owner = connection.scalar(_OWNER, {"schema": self.name})
        if owner is not None and self.role and owner != self.name:
            raise errors.tenant_without_role(self.tenant)
        self.has_begun = True
        for statement in FORGET_SESSION:
            connection.exec_driver_sql(statement)
        if owner is None:
            if row.revision is not None:
                raise errors.schema_missing(self.tenant, self.name)
            citus = has_citus(connection)
            if self.role and citus:
                raise errors.roles_on_citus()
            statements = create_schema(self.name, owned=self.role, grant=None, citus=citus)
            if self.role:
                make_with_role(connection, self.name, statements)
            else:
                for statement in statements:
                    connection.exec_driver_sql(statement)

    def enter(self, connection: Connection, *, for_session: bool = False) -> None:
        local = "" if for_session else "LOCAL "
        # A tenant that is not created yet, or is dropped, has no role to switch to and nothing to
        # read.
        role = self.role and role_exists(connection, self.name)
        for statement in enter_schema(self.name, role=role, local=local):
            connection.exec_driver_sql(statement)
        if self.recording is not None:
            self.recording.begin(connection)

    def restore(self, connection: Connection) -> None:
        for statement in enter_schema(self.name, role=self.role):
            connection.exec_driver_sql(statement)

    def commit(self, connection: Connection) -> None:
        """Update the registry's row, in the transaction of the migrations.

        Raises:
            ActionableError: newer-release-began, public has a migration that this release lacks.
        """
        if in_autocommit(connection):
            return
        if self.recording is not None:
            self.recording.commit()
        registry = Registry(connection)
        # Read here and written below: Citus runs a statement on one machine, the tenant's or this one.
        revision = connection.exec_driver_sql(
            f'SELECT version_num FROM "{self.version_table}"'
        ).scalar()
        if self.role:
            connection.exec_driver_sql("SET LOCAL ROLE NONE")
        if self.known_revisions is not None:
            check_release(connection, self.tenant, self.known_revisions, self.version_table)
        otherwise = self.status_when_not_at_target
        registry.execute(set_revision(self.tenant, revision, self.target, otherwise))
        if self.backfills:
            registry.execute(self.backfills.update_rows(self.tenant, revision, is_new=self.is_new))

    def wrap(self, body: Callable[..., None]) -> Callable[..., None]:
        return body if self.recording is None else self.recording.wrap(body)


class ChunkScope(TenantScope):
    """One tenant's schema for the chunks of a backfill, which do not change the registry's row."""

    def begin(self, connection: Connection) -> None:
        """Nothing to look up: the removal of a tenant deletes its row of progress."""

    def commit(self, connection: Connection) -> None:
        """There is no row to update."""

    @contextmanager
    def shared_tables(self, connection: Connection) -> Iterator[None]:
        if self.role:
            connection.exec_driver_sql("SET LOCAL ROLE NONE")
        yield
        if self.role:
            self.enter(connection)


class ScratchTenantScope(TenantScope):
    """A tenant of a scratch database: a schema without a row in a registry."""

    def __init__(self) -> None:
        super().__init__("scratch", None)

    def begin(self, connection: Connection) -> None:
        """Create the schema, if it is missing."""
        connection.exec_driver_sql(f'CREATE SCHEMA IF NOT EXISTS "{self.name}"')

    def commit(self, connection: Connection) -> None:
        """There is no row to update."""


_OWNER = text("SELECT pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = :schema")
_ROLE_EXISTS = text("SELECT count(*) FROM pg_roles WHERE rolname = :schema")


def role_exists(connection: Connection, schema: str) -> bool:
    """Whether there is a role of this name."""
    return bool(connection.scalar(_ROLE_EXISTS, {"schema": schema}))


def make_role(connection: Connection, schema: str) -> None:
    """Make a tenant's role, unless it is there.

    A role belongs to the whole server: a tenant of that name in another database may have made it,
    or make it at this moment.
    """
    if role_exists(connection, schema):
        return
    raw = driver_connection(connection)
    with suppress(DuplicateObject, UniqueViolation), raw.transaction():  # a savepoint
        raw.execute(f'CREATE ROLE "{schema}" NOLOGIN'.encode())
        raw.execute(grant_role(schema, connection.dialect).encode())


def make_with_role(connection: Connection, schema: str, statements: Sequence[str]) -> None:
    """Make a tenant's role, and with these statements its schema.

    Another database may drop the role in between, with its own tenant of that name: then again.
    """
    raw = driver_connection(connection)
    for is_last in (False, False, True):
        make_role(connection, schema)
        with nullcontext() if is_last else suppress(UndefinedObject):
            with raw.transaction():  # a savepoint
                for statement in statements:
                    raw.execute(statement.encode())
            return


def grant_role(schema: str, dialect: Dialect) -> str:
    """The statement that lets the service's role switch to a tenant's without inheriting rights.

    Before PostgreSQL 16 the role also inherits them, unless it is NOINHERIT.
    """
    apart = (getattr(dialect, "server_version_info", None) or (0,)) >= (16,)
    return f'GRANT "{schema}" TO CURRENT_USER' + (" WITH INHERIT FALSE, SET TRUE" if apart else "")


def create_schema(schema: str, *, owned: bool, grant: str | None, citus: bool) -> list[str]:
    """Statements that create a tenant's schema: plain ones, so that Citus sees each.

    Args:
        owned: whether the schema belongs to its own role.
        grant: the statement after the creation of that role; None if the role exists.
    """
    statements = [SPREAD] if citus else []
    if grant is not None:
        statements += [f'CREATE ROLE "{schema}" NOLOGIN', grant]
    owner = f' AUTHORIZATION "{schema}"' if owned else ""
    return [*statements, f'CREATE SCHEMA "{schema}"{owner}']


def enter_schema(schema: str, *, role: bool, local: str = "LOCAL ") -> list[str]:
    """Statements that make unqualified names refer to this schema's tables, never to public's."""
    path = f'SET {local}search_path TO "{schema}", pg_temp'
    return [path, f'SET {local}ROLE "{schema}"'] if role else [path]


# Removes state that a body of the previous tenant may have left on the session. Each statement may
# run inside a transaction, so this also works through a pooler.
FORGET_SESSION = ("DISCARD TEMP", "DISCARD SEQUENCES", "CLOSE ALL", "DEALLOCATE ALL", "UNLISTEN *")
# The rest of DISCARD ALL, for a session that serves one tenant after the other.
NEW_SESSION = (
    "SET SESSION AUTHORIZATION DEFAULT",
    "RESET ALL",
    "SELECT pg_advisory_unlock_all()",
    *FORGET_SESSION,
)


# On Citus: a schema that the transaction makes from now on goes to one of the machines.
SPREAD = "SET LOCAL citus.enable_schema_based_sharding TO on"


def has_citus(connection: Connection) -> bool:
    """Whether schemas can be distributed over machines: Citus is installed."""
    return bool(connection.scalar(text("SELECT count(*) FROM pg_extension WHERE extname='citus'")))


def refuse_foreign_keys_to_shared(metadata: MetaData) -> None:
    """Refuse models in which a tenant's table refers to a shared one.

    Raises:
        ActionableError: foreign-key-to-shared, for the first such column.
    """
    for table in metadata.tables.values():
        for key in table.foreign_keys:
            if table.schema is None and key.target_fullname.startswith(f"{SHARED_SCHEMA}."):
                raise errors.foreign_key_to_shared(table.name, key.parent.name, key.target_fullname)
