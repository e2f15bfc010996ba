"""Executes in a tenant's schema what was recorded in another's.

A replay is one transaction and one psycopg pipeline: no Alembic, so it may run in threads, and one
round trip to the server.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Engine

from ..config import MigrationConfig
from ..folder import name_of
from ..history import checksum
from ..lock import advisory_key
from .recording import Recording, Statement
from .registry import Registry
from .scope import create_schema, enter_schema, schema_of

if TYPE_CHECKING:
    from alembic.script import Script


class Replay:
    """What is executed for each tenant: the migrations' statements, and the engine's around them.

    Plain statements, each by itself: Citus sees them all.

    Attributes:
        names: of the migrations that are run or rolled back.
        is_new: whether the tenant's schema is made.
    """

    def __init__(
        self,
        config: MigrationConfig,
        recording: Recording,
        scripts: "Sequence[Script]",
        *,
        start: str | None,
        target: str | None,
        is_upgrade: bool,
        citus: bool,
    ) -> None:
        """
        Args:
            scripts: the migrations that were recorded, in the order in which they ran.
            start: the tenant's revision before.
            target: its revision afterwards.
            citus: whether schemas can be spread over machines here.
        """
        self.names = tuple(name_of(script) for script in scripts)
        self.is_new = start is None
        self._citus = citus
        self._role = config.tenant_roles
        self._lock_timeout = Statement(
            f"SET LOCAL lock_timeout = {int(config.table_lock_timeout * 1000)}"
        )
        self._target = target
        checked = recording.tables if start is None else [Statement(_IS_AT, (start,))]
        self._recorded = [
            *checked,
            *recording.statements,
            _version(start, target),
            _history(scripts, is_upgrade=is_upgrade),
        ]

    def statements(self, tenant: str) -> list[Statement]:
        """All statements of one tenant."""
        schema, role = schema_of(tenant), self._role
        create = create_schema(schema, owned=role, role=role, citus=self._citus)
        leave = ["SET LOCAL ROLE NONE"] if role else []
        return [
            self._lock_timeout,
            Statement("SELECT pg_advisory_xact_lock(%s, %s)", advisory_key(schema)),
            Registry.must_have(tenant),
            *map(Statement, create if self.is_new else ()),
            *map(Statement, enter_schema(schema, role=role)),
            *self._recorded,
            *map(Statement, leave),
            Registry.make_ready(tenant, self._target),
        ]


class RenewedConnections:
    """Private connections to the engine's database, each renewed now and then.

    A backend keeps what it learns of each table it touches; after hundreds of schemas it is large.
    """

    def __init__(self, engine: Engine, uses: int = 500) -> None:
        self._pool = engine.pool.recreate()
        self._uses = uses

    @contextmanager
    def for_worker(self) -> Iterator[Callable[[], "psycopg.Connection[Any]"]]:
        """A function that returns this worker's connection for the next tenant."""
        session: Any = None
        used = 0

        def checkout() -> "psycopg.Connection[Any]":
            nonlocal session, used
            if session is None or used >= self._uses or session.driver_connection.closed:
                if session is not None:
                    session.invalidate()
                session, used = self._pool.connect(), 0
                session.driver_connection.autocommit = True
            used += 1
            connection: psycopg.Connection[Any] = session.driver_connection
            return connection

        try:
            yield checkout
        finally:
            if session is not None:
                session.invalidate()


def execute(connection: "psycopg.Connection[Any]", statements: Sequence[Statement]) -> None:
    """Execute in one transaction and one round trip; all of it or nothing.

    Raises:
        psycopg.Error: of the statement that failed.
    """
    try:
        with connection.pipeline(), connection.transaction(), connection.cursor() as cursor:
            for query, parameters, many in statements:
                if many:
                    cursor.executemany(query, parameters)
                else:
                    cursor.execute(query, parameters, prepare=False)
    finally:
        if connection.info.transaction_status == TransactionStatus.INERROR:
            connection.rollback()


def _version(start: str | None, target: str | None) -> Statement:
    if target is None:
        return Statement("DELETE FROM alembic_version")
    if start is None:
        return Statement("INSERT INTO alembic_version VALUES (%s)", (target,))
    return Statement("UPDATE alembic_version SET version_num = %s", (target,))


def _history(scripts: "Sequence[Script]", *, is_upgrade: bool) -> Statement:
    revisions = [script.revision for script in scripts]
    if not is_upgrade:
        return Statement(_UNDONE, (revisions,))
    sums = [checksum(script._script_path) for script in scripts]
    return Statement(_APPLIED, (revisions, [name_of(script) for script in scripts], sums))


# Division by zero stops the replay of a tenant that somebody else migrated meanwhile.
_IS_AT = "SELECT 1 / count(*) FROM alembic_version WHERE version_num = %s"
_APPLIED = """
INSERT INTO migration_history (run_id, batch, revision, name, checksum, started_at, duration)
SELECT n.run_id, n.batch, v.revision, v.name, v.checksum, now(),
       extract(epoch FROM clock_timestamp() - now())
FROM (
    SELECT coalesce(max(run_id), 0) + 1 AS run_id,
           coalesce(max(batch) FILTER (WHERE rolled_back_at IS NULL), 0) + 1 AS batch
    FROM migration_history
) AS n,
unnest(%s::text[], %s::text[], %s::text[])
    WITH ORDINALITY AS v(revision, name, checksum, position)
ORDER BY v.position
"""
_UNDONE = (
    "UPDATE migration_history SET rolled_back_at = now()"
    " WHERE rolled_back_at IS NULL AND revision = ANY(%s)"
)
