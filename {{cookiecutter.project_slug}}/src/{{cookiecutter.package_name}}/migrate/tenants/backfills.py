"""Backfills of tenants: how each tenant's row in ``migration_progress`` follows its migrations.

The table is in ``public``, with a row for each backfill and tenant. So one query gives the total
over all tenants, whatever their number, and tells the gate of a contract whether all are finished.

Who writes a row. A tenant's migrations run in its own schema, with its own role where it has one, so
they cannot. The transaction that migrates a tenant makes its rows follow, as it makes the
registry's row follow: before it commits, the tenant has a row for each backfill that it has applied,
and for no other. That is one statement, alike for all tenants, so replayed tenants get it too.

A new tenant. Nobody uses its schema yet, and it has no more rows than its migrations wrote. The
backfill's migration updates them at once, and the row says that it is finished. So a new tenant
goes through backfills and contracts in one transaction, and waits for nobody.

The chunks. ``backfilling`` does them, tenant after tenant, in one process at a time. A chunk's
transaction locks the tenant's row, updates some rows in its schema, and writes how far it came. So
a process may die at any moment, and the next one goes on where the row says.

A tenant that comes late. It may have failed before a backfill, or have been restored from a backup.
It stops before the first contract behind a backfill that is not finished in its schema, and goes on
after it. Public's gate also waits for tenants that are on the way to a backfill, so that normally
all stop at the same revision; it does not wait for those that failed.

A tenant that goes. Its rows go with its registry's row, when its removal begins. That waits for the
chunk that runs, and the next one finds no row and passes the tenant over.

A backup of a tenant keeps its rows beside its registry's row, and a restore puts them in the place of
those that are there, in one transaction with its schema.
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
    """The backfills of tenants in a chain of migrations; false where there is none.

    Args:
        is_upgrade: whether the chain is applied, and not undone.
    """

    def __init__(self, chain: "Sequence[Script]", service: str, *, is_upgrade: bool) -> None:
        self._service = service
        self._is_upgrade = is_upgrade
        self._chain = [script.revision for script in chain]
        self._stated = {script.revision: script for script in chain if fills_tenants(script)}

    def __bool__(self) -> bool:
        return bool(self._stated)

    def __contains__(self, script: "Script") -> bool:
        return script.revision in self._stated

    def prepare(self, engine: Engine) -> None:
        """Make the table, where there is something to write into it.

        Raises:
            ActionableError: database-away, database-refuses.
        """
        if self:
            make_progress_table(engine, SHARED_SCHEMA)

    def unfinished(self, engine: Engine) -> set[str]:
        """The tenants that have something left to do.

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
        """Statements with which a tenant's transaction begins.

        Who undoes a backfill waits for a chunk that runs, and locks the rows before the tables, as a
        chunk does: else each would wait for the other. Who applies something waits for nobody.
        """
        values = {"service": self._service, "tenant": tenant}
        return [] if self._is_upgrade or not self else [Statement(_CLAIM, values)]

    def follow(self, tenant: str, revision: str | None, *, is_new: bool) -> Statement:
        """A statement that makes a tenant's rows follow its revision.

        Args:
            revision: what the tenant's own version table says.
            is_new: whether its migrations have updated all there was.
        """
        stated = self._stated.values()
        modules = [backfill_of(script.module) for script in stated]
        values = {
            "chain": self._chain,
            "at": revision,
            "service": self._service,
            "tenant": tenant,
            "is_new": is_new,
            "revisions": list(self._stated),
            "names": list(map(name_of, stated)),
            "tables": [one.table for one in modules if one],
        }
        return Statement(_FOLLOW, values)


def is_there(connection: Connection) -> bool:
    """Whether any backfill was ever applied."""
    return has_progress(connection, progress_table(SHARED_SCHEMA))


def forget(connection: Connection, tenant: str) -> None:
    """Remove a tenant's rows. Waits for a chunk that runs."""
    if is_there(connection):
        connection.execute(_FORGET, {"tenant": tenant})


def saved(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    """The rows of each tenant, as a backup keeps them."""
    if not is_there(connection):
        return {}
    return {row.tenant: row.kept for row in connection.execute(_SAVED)}


def bring_back(connection: Connection, tenant: str, rows: Sequence[dict[str, Any]]) -> None:
    """Put what a backup has in the place of a tenant's rows."""
    forget(connection, tenant)
    if rows:
        connection.execute(_BRING_BACK, {"rows": json.dumps(rows)})


# Where this release does not know the revision, "place" is NULL, and nothing happens.
_FOLLOW = """
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
