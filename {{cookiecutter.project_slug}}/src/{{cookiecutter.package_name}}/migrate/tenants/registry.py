"""``public.tenants``: the tenants, their states and revisions.

The SQL that changes this table is here. Others that read it: ``roles``, ``migrations.target`` and
``database.tenant_guard``, which ask for something else in the same statement.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from .recording import Statement

QUIET_SECONDS = 30.0
SCHEMA_OF_ID = "tenants_schema_of_id_check"


class TenantStatus(StrEnum):
    """The state of a tenant. Requests are answered only for ``ready`` tenants.

    Attributes:
        PROVISIONING: registered; the schema is not complete yet.
        READY: at the revision of ``public``.
        BEHIND: at an older revision, because it alone was rolled back, or an audit found it there.
        FAILED: its last migration failed; the registry has the error.
        DROPPING: its removal has begun, and can only be completed.
    """

    PROVISIONING = "provisioning"
    READY = "ready"
    BEHIND = "behind"
    FAILED = "failed"
    DROPPING = "dropping"


@dataclass(frozen=True)
class TenantRow:
    """A row of the registry.

    Attributes:
        status: a :class:`TenantStatus`.
        error: the error of the last migration, if it failed.
    """

    id: str
    name: str
    status: str
    revision: str | None
    error: str | None
    created_at: datetime


_COLUMNS = ", ".join(TenantRow.__dataclass_fields__)


class TenantAtRevision(NamedTuple):
    """A tenant to migrate.

    Attributes:
        exists: whether it has a schema.
    """

    id: str
    revision: str | None
    exists: bool

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing yet, or everything; other states must be checked."""
        return self.exists == (self.revision is not None)


class SavedTenant(NamedTuple):
    """A tenant in a backup.

    Attributes:
        as_json: its whole row.
    """

    id: str
    schema_name: str
    revision: str | None
    as_json: dict[str, Any]


class Registry:
    """The registry's rows, on one connection. The owner of the connection commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def exists(self) -> bool:
        """Whether the migration that makes the table was applied."""
        return self._scalar("SELECT to_regclass('public.tenants')") is not None

    def is_empty(self) -> bool:
        """Whether there is no tenant."""
        return not self._scalar("SELECT EXISTS (SELECT FROM public.tenants)")

    def page(self, after: str, limit: int | None, *, failed: bool = False) -> list[TenantRow]:
        """Tenants by id, starting after ``after``, at most ``limit``.

        Args:
            failed: only tenants whose last migration failed.
        """
        condition = "id > :after AND status = 'failed'" if failed else "id > :after"
        query = f"SELECT {_COLUMNS} FROM public.tenants WHERE {condition} ORDER BY id LIMIT :limit"
        return [TenantRow(*row) for row in self._rows(query, after=after, limit=limit)]

    def find(self, tenant: str) -> TenantRow | None:
        """One tenant."""
        rows = self._rows(f"SELECT {_COLUMNS} FROM public.tenants WHERE id = :id", id=tenant)
        return TenantRow(*rows[0]) if rows else None

    def left_behind(self, version_table: str) -> list[str]:
        """Tenants that are served at another revision than public's.

        Empty if one of them changed within ``QUIET_SECONDS``: then another process migrates them.
        """
        rows = self._rows(
            "SELECT id FROM (SELECT t.id, max(t.updated_at) OVER () AS changed_at"
            f' FROM public.tenants t, public."{version_table}" v'
            " WHERE t.status = 'ready' AND t.revision IS DISTINCT FROM v.version_num) AS behind"
            " WHERE changed_at < now() - make_interval(secs => :quiet) ORDER BY id",
            quiet=QUIET_SECONDS,
        )
        return [tenant for (tenant,) in rows]

    def find_ready(self, revision: str | None) -> str | None:
        """A ready tenant, at this revision if there is one."""
        tenant: str | None = self._scalar(
            "SELECT id FROM public.tenants WHERE status = 'ready'"
            " ORDER BY revision IS DISTINCT FROM CAST(:revision AS text), id LIMIT 1",
            revision=revision,
        )
        return tenant

    def count_behind(self, revision: str | None) -> int:
        """The number of tenants that are not ready at ``revision``; 4 ms at 10,000 tenants."""
        return int(
            self._scalar(
                "SELECT count(*) FROM public.tenants WHERE status <> 'dropping'"
                " AND (status <> 'ready' OR revision IS DISTINCT FROM CAST(:revision AS text))",
                revision=revision,
            )
        )

    def count_lagging(self, revisions: Sequence[str]) -> int:
        """The number of tenants at none of these revisions, without failed and removed ones."""
        return int(
            self._scalar(
                "SELECT count(*) FROM public.tenants WHERE status NOT IN ('dropping', 'failed')"
                " AND (revision IS NULL OR revision <> ALL(:revisions))",
                revisions=list(revisions),
            )
        )

    def count_by_revision(self) -> list[tuple[str | None, str, int]]:
        """Revision, status, and the number of tenants with both."""
        rows = self._rows(
            "SELECT revision, status, count(*) FROM public.tenants GROUP BY 1, 2 ORDER BY 1, 2"
        )
        return [(revision, status, count) for revision, status, count in rows]

    def not_at_target(
        self, target: str | None, known: Sequence[str], *, with_new: bool
    ) -> list[TenantAtRevision]:
        """Tenants that are not ready at ``target``, grouped by revision.

        Args:
            known: the revisions from which ``target`` can be reached. Any other belongs to a
                newer version of the service, which is being rolled out.
            with_new: also tenants that have no revision yet.
        """
        rows = self._rows(
            "SELECT t.id, t.revision, n.oid IS NOT NULL"
            " FROM public.tenants t LEFT JOIN pg_namespace n ON n.nspname = t.schema_name"
            " WHERE t.status <> 'dropping'"
            " AND (t.revision IS NULL AND :with_new OR t.revision = ANY(:known))"
            " AND (t.revision IS DISTINCT FROM CAST(:target AS text) OR t.status <> 'ready')"
            " ORDER BY t.revision NULLS FIRST, n.oid IS NOT NULL, t.id",
            target=target,
            known=list(known),
            with_new=with_new,
        )
        return [TenantAtRevision(*row) for row in rows]

    def is_ready_at(self, tenant: str, target: str | None) -> bool:
        """Whether the tenant is ready at ``target``."""
        return bool(
            self._scalar(
                "SELECT count(*) FROM public.tenants WHERE id = :id AND status = 'ready'"
                " AND revision IS NOT DISTINCT FROM CAST(:target AS text)",
                id=tenant,
                target=target,
            )
        )

    def add(self, tenant: str, display_name: str, schema: str) -> None:
        """Register a tenant, if it is not registered."""
        self._execute(
            "INSERT INTO public.tenants (id, name, schema_name) VALUES (:id, :name, :schema)"
            " ON CONFLICT (id) DO NOTHING",
            id=tenant,
            name=display_name,
            schema=schema,
        )

    def record_failure(self, tenant: str, error: str) -> None:
        """Store the error of a tenant's migration."""
        self._execute(
            "UPDATE public.tenants SET status = 'failed', error = :error, updated_at = now()"
            " WHERE id = :id AND status <> 'dropping'",
            id=tenant,
            error=error,
        )

    def begin_removal(self, tenant: str) -> None:
        """Mark the tenant, so that nobody migrates or serves it any more."""
        self._execute("UPDATE public.tenants SET status = 'dropping' WHERE id = :id", id=tenant)

    def remove(self, tenant: str) -> None:
        """Remove the row."""
        self._execute("DELETE FROM public.tenants WHERE id = :id", id=tenant)

    def schemas(self) -> list[str]:
        """Names of tenants' schemas, both registered and existing ones."""
        rows = self._rows(
            r"SELECT nspname FROM pg_namespace WHERE nspname LIKE 'tenant\_%'"
            " UNION SELECT schema_name FROM public.tenants ORDER BY 1"
        )
        return [name for (name,) in rows]

    def lock(self, schemas: Sequence[str]) -> dict[str, Any]:
        """Locked rows by schema, with ``revision`` and ``status``: nobody migrates these now."""
        rows = self._rows(
            "SELECT schema_name, revision, status FROM public.tenants"
            " WHERE schema_name = ANY(:schemas) FOR UPDATE",
            schemas=list(schemas),
        )
        return {row.schema_name: row for row in rows}

    def write_row(self, tenant: str, schema: str, revision: str | None, version_table: str) -> None:
        """Insert or correct a tenant's row; its status is ready if it is at public's revision."""
        self._execute(
            "INSERT INTO public.tenants AS t (id, name, schema_name, revision, status)"
            " SELECT :id, :id, :schema, CAST(:revision AS text),"
            " CASE WHEN CAST(:revision AS text) IS NULL THEN 'provisioning'"
            " WHEN :revision = v.revision THEN 'ready' ELSE 'behind' END"
            f' FROM (SELECT max(version_num) AS revision FROM public."{version_table}") AS v'
            " ON CONFLICT (id) DO UPDATE SET revision = excluded.revision,"
            " status = excluded.status, updated_at = now()",
            id=tenant,
            schema=schema,
            revision=revision,
        )

    def rows_for_backup(self) -> list[SavedTenant]:
        """The tenants that have a schema, for a backup."""
        rows = self._rows(
            "SELECT t.id, t.schema_name, t.revision, to_jsonb(t) FROM public.tenants t"
            " JOIN pg_namespace n ON n.nspname = t.schema_name ORDER BY t.id"
        )
        return [SavedTenant(*row) for row in rows]

    def restore_row(self, row: str) -> None:
        """Restore a tenant's row from JSON."""
        self._execute(
            "INSERT INTO public.tenants SELECT (jsonb_populate_record("
            "NULL::public.tenants, CAST(:row AS jsonb))).*"
            " ON CONFLICT (id) DO UPDATE SET name = excluded.name, error = NULL",
            row=row,
        )

    def execute(self, statement: Statement) -> None:
        """Execute a statement of :func:`set_revision`."""
        self._connection.exec_driver_sql(str(statement.query), statement.parameters)

    def rows_with_another_schema(self) -> list[tuple[str, str]]:
        """Ids and schemas of rows whose schema does not fit their id."""
        rows = self._rows(
            "SELECT id, schema_name FROM public.tenants"
            " WHERE schema_name <> 'tenant_' || id ORDER BY id"
        )
        return [(tenant, schema) for tenant, schema in rows]

    def has_schema_check(self) -> bool:
        """Whether a CHECK ties the schema's name to the id."""
        return bool(
            self._scalar(
                "SELECT count(*) FROM pg_constraint WHERE conrelid = 'public.tenants'::regclass"
                " AND conname = :name AND contype = 'c' AND convalidated",
                name=SCHEMA_OF_ID,
            )
        )

    def add_schema_check(self) -> None:
        """Add this CHECK, which the registry of a new service has from the start."""
        self._execute(
            f"ALTER TABLE public.tenants ADD CONSTRAINT {SCHEMA_OF_ID}"
            " CHECK (schema_name = 'tenant_' || id)"
        )

    def _execute(self, query: str, **values: Any) -> None:
        self._connection.execute(text(query), values)

    def _rows(self, query: str, **values: Any) -> Sequence[Any]:
        return self._connection.execute(text(query), values).all()

    def _scalar(self, query: str, **values: Any) -> Any:
        return self._connection.scalar(text(query), values)


def fail_if_removed(tenant: str) -> Statement:
    """A statement that fails, by a division by zero, for a tenant that was removed."""
    query = "SELECT 1 / count(*) FROM public.tenants WHERE id = %s AND status <> 'dropping'"
    return Statement(query, (tenant,))


def set_revision(
    tenant: str,
    revision: str | None,
    target: str | None,
    status_when_not_at_target: TenantStatus | None = None,
) -> Statement:
    """A statement that sets a tenant's revision in the registry, and clears its error.

    Args:
        revision: what the tenant's own version table says.
        target: the revision at which the tenant is ready.
        status_when_not_at_target: its status at any other revision; default: unchanged.
    """
    query = (
        "UPDATE public.tenants SET updated_at = now(), error = NULL, revision = %(revision)s,"
        " status = coalesce(%(status)s, status) WHERE id = %(id)s AND status <> 'dropping'"
    )
    status = TenantStatus.READY if revision == target else status_when_not_at_target
    return Statement(query, {"revision": revision, "status": status, "id": tenant})
