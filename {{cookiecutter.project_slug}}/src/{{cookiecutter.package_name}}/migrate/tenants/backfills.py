"""Backfills of tenants: each tenant's rows in ``migration_progress`` follow its migrations.

The table is in ``public``, with a row for each backfill and tenant. So one query gives the total
over all tenants, and tells the gate of a contract whether all are finished.

Writing the rows. A tenant's migrations run in its own schema, perhaps with its own role, so
they cannot write them. The transaction that migrates a tenant updates its rows like its row in the
registry: before the commit, the tenant has a row for each backfill that it has applied,
and no other row. This is one statement, the same for all tenants, so replayed tenants get it too.

A new tenant. Nobody uses its schema yet, and it has only the rows that its migrations wrote. The
backfill's migration updates them at once, and the row says that it is finished. So a new tenant
goes through backfills and contracts in one transaction, without waiting.

The chunks. ``backfilling`` runs them, one tenant after the other, in one process at a time. A
chunk's transaction locks the tenant's row, updates some rows in its schema, and stores its
progress. So a process may die at any moment, and the next one continues from the row.

A late tenant. It may have failed before a backfill, or have been restored from a backup.
It stops before the first contract after an unfinished backfill of its schema, and continues
later. The gate of ``public`` also waits for tenants that have not reached a backfill yet, so that
normally all stop at the same revision; it does not wait for failed tenants.

A removed tenant. Its rows are deleted with its row in the registry, when its removal begins. This
waits for a running chunk; the next chunk finds no row and skips the tenant.

A backup of a tenant contains its rows and its row in the registry, and a restore replaces the
existing ones, in one transaction with its schema.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, text

from ..backends import backend
from ..backfill import backfill_of, has_progress, make_progress_table, progress_table
from ..folder import fills_tenants, name_of
from .recording import Statement

if TYPE_CHECKING:
    from alembic.script import Script

SHARED_SCHEMA = "public"


class TenantBackfills:
    """The backfills of tenants in a chain of migrations; false if there are none.

    Args:
        is_upgrade: whether the chain is applied (not undone).
    """

    def __init__(self, chain: "Sequence[Script]", service: str, *, is_upgrade: bool) -> None:
        self._service = service
        self._is_upgrade = is_upgrade
        self._chain = [script.revision for script in chain]
        self._scripts = {script.revision: script for script in chain if fills_tenants(script)}

    def __bool__(self) -> bool:
        return bool(self._scripts)

    def __contains__(self, script: "Script") -> bool:
        return script.revision in self._scripts

    def prepare(self, engine: Engine) -> None:
        """Create the table, if it is needed.

        Raises:
            ActionableError: database-away, database-refuses.
        """
        if self:
            make_progress_table(engine, SHARED_SCHEMA)

    def unfinished(self, engine: Engine) -> set[str]:
        """The tenants with unfinished backfills.

        Raises:
            ActionableError: database-away, database-refuses.
        """
        if not self:
            return set()
        with backend.reading(engine) as connection:
            if not is_there(connection):
                return set()
            return set(connection.scalars(_UNFINISHED, {"service": self._service}))

    def begin(self, tenant: str) -> list[Statement]:
        """The first statements of a tenant's transaction.

        Undoing a backfill waits for a running chunk, and locks the rows before the tables, as a
        chunk does; otherwise there could be a deadlock. Applying does not wait.
        """
        values = {"service": self._service, "tenant": tenant}
        return [] if self._is_upgrade or not self else [Statement(_CLAIM, values)]

    def update_rows(self, tenant: str, revision: str | None, *, is_new: bool) -> Statement:
        """A statement that updates a tenant's rows to its revision.

        Args:
            revision: what the tenant's own version table says.
            is_new: whether its migrations have already updated all its rows.
        """
        scripts = self._scripts.values()
        modules = [backfill_of(script.module) for script in scripts]
        values = {
            "chain": self._chain,
            "at": revision,
            "service": self._service,
            "tenant": tenant,
            "is_new": is_new,
            "revisions": list(self._scripts),
            "names": list(map(name_of, scripts)),
            "tables": [one.table for one in modules if one],
        }
        return Statement(_UPDATE_ROWS, values)


def is_there(connection: Connection) -> bool:
    """Whether any backfill was ever applied."""
    return has_progress(connection, progress_table(SHARED_SCHEMA))


def forget(connection: Connection, tenant: str) -> None:
    """Delete a tenant's rows. Waits for a running chunk."""
    if is_there(connection):
        connection.execute(_FORGET, {"tenant": tenant})


def rows_for_backup(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    """The rows of each tenant, for a backup."""
    if not is_there(connection):
        return {}
    return {row.tenant: row.kept for row in connection.execute(_SAVED)}


def restore_rows(connection: Connection, tenant: str, rows: Sequence[dict[str, Any]]) -> None:
    """Replace a tenant's rows by those of a backup."""
    forget(connection, tenant)
    if rows:
        connection.execute(_BRING_BACK, {"rows": json.dumps(rows)})


# If this release does not know the revision, "place" is NULL, and nothing happens.
_UPDATE_ROWS = """
WITH at AS (
    SELECT CASE WHEN CAST(%(at)s AS text) IS NULL THEN 0
           ELSE array_position(CAST(%(chain)s AS text[]), CAST(%(at)s AS text)) END AS place
), undone AS (
    DELETE FROM public.migration_progress AS p USING at
    WHERE p.service = %(service)s AND p.tenant = %(tenant)s
    AND array_position(CAST(%(chain)s AS text[]), p.revision::text) > at.place
)
INSERT INTO public.migration_progress
    (service, revision, tenant, name, table_name, done, total, seconds, started_at, finished_at)
SELECT %(service)s, b.revision, %(tenant)s, b.name, b.table_name, 0,
       CASE WHEN %(is_new)s THEN 0 END, 0, now(), CASE WHEN %(is_new)s THEN now() END
FROM unnest(CAST(%(revisions)s AS text[]), CAST(%(names)s AS text[]), CAST(%(tables)s AS text[]))
    AS b(revision, name, table_name), at
WHERE array_position(CAST(%(chain)s AS text[]), b.revision) <= at.place
ON CONFLICT DO NOTHING
"""
_CLAIM = """
SELECT revision FROM public.migration_progress
WHERE service = %(service)s AND tenant = %(tenant)s FOR UPDATE
"""
_UNFINISHED = text(
    "SELECT DISTINCT tenant FROM public.migration_progress"
    " WHERE service = :service AND tenant <> '' AND finished_at IS NULL"
)
_FORGET = text("DELETE FROM public.migration_progress WHERE tenant = :tenant")
_SAVED = text(
    "SELECT tenant, jsonb_agg(to_jsonb(p)) AS kept FROM public.migration_progress p"
    " WHERE tenant <> '' GROUP BY tenant"
)
_BRING_BACK = text(
    "INSERT INTO public.migration_progress SELECT (jsonb_populate_recordset("
    "NULL::public.migration_progress, CAST(:rows AS jsonb))).*"
)
