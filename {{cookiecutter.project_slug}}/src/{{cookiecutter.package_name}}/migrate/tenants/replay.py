"""Executes the recorded statements of one tenant in another tenant's schema.

A transaction is replayed in one psycopg pipeline: without Alembic, so it may run in threads, and
with one round trip to the server.
"""

from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Dialect

from ..backends.common import my_name
from ..backends.postgresql.lock import advisory_key
from ..config import MigrationConfig
from ..folder import name_of
from .backfills import TenantBackfills
from .recording import Recording, Statement
from .registry import fail_if_removed, set_revision
from .scope import NEW_SESSION, create_schema, enter_schema, grant_role, schema_of

if TYPE_CHECKING:
    from alembic.script import Script


@dataclass
class Replay:
    """The statements for each tenant: the recorded ones, and the engine's own before and after.

    They are plain statements, each by itself, so that Citus sees them all.

    Attributes:
        scripts: the recorded migrations, in the order in which they ran.
        start: the tenant's revision before.
        target: its revision afterwards.
        citus: whether schemas can be distributed over machines.
        dialect: of the engine after it has connected, with the server's version.
        backfills: those of the chain.
        names: of the migrations.
        is_new: whether the tenant's schema is created.
    """

    config: MigrationConfig
    recording: Recording
    scripts: "Sequence[Script]"
    _: KW_ONLY
    start: str | None
    target: str | None
    is_upgrade: bool
    citus: bool
    dialect: Dialect
    backfills: TenantBackfills

    def __post_init__(self) -> None:
        self.names = tuple(map(name_of, self.scripts))
        self.is_new = self.start is None
        # Applying is one transaction; undoing is one for each migration.
        revisions = [script.revision for script in self.scripts]
        starts = [self.start] if self.is_upgrade else revisions
        ends = revisions[-1:] if self.is_upgrade else [*revisions[1:], self.target]
        self._recorded = list(zip(starts, self.recording.transactions, ends, strict=True))
        self._after = [_durations(self.config, self.scripts)] if self.is_upgrade else []

    def transactions(self, tenant: str) -> "Iterator[list[Statement]]":
        """The statements of one tenant, transaction by transaction."""
        schema, config = schema_of(tenant), self.config
        grant = grant_role(schema, self.dialect) if config.tenant_roles else None
        create = create_schema(schema, owned=config.tenant_roles, grant=grant, citus=self.citus)
        enter = [*map(Statement, enter_schema(schema, role=config.tenant_roles))]
        now = datetime.now(UTC)
        for start, recorded, end in self._recorded:
            yield [
                *map(Statement, NEW_SESSION),
                # By this name ``unlock --force`` finds it.
                Statement("SELECT set_config('application_name', %s, true)", (my_name(),)),
                Statement(f"SET LOCAL lock_timeout = {int(config.table_lock_timeout * 1000)}"),
                _must_lock(schema),
                fail_if_removed(tenant),
                *self.backfills.begin(tenant),
                *map(Statement, create if self.is_new else ()),
                *enter,
                *([] if start is None else [_must_be_at(start, config)]),
                *_entering_after_bodies(recorded, enter, now),
                *self._after,
                _must_be_at(end, config),
                *map(Statement, ["SET LOCAL ROLE NONE"] if config.tenant_roles else []),
                set_revision(tenant, end, self.target),
                *(
                    [self.backfills.update_rows(tenant, end, is_new=self.is_new)]
                    if self.backfills
                    else []
                ),
            ]


def execute(connection: "psycopg.Connection[Any]", statements: Sequence[Statement]) -> None:
    """Execute in one transaction and one round trip: all or nothing.

    Raises:
        psycopg.Error: of the failed statement.
    """
    try:
        with connection.pipeline(), connection.transaction(), connection.cursor() as cursor:
            for query, parameters, many, _ in statements:
                if many:
                    cursor.executemany(query, parameters)
                else:
                    cursor.execute(query, parameters, prepare=False)
    finally:
        if connection.info.transaction_status == TransactionStatus.INERROR:
            connection.rollback()


def _must_lock(schema: str) -> Statement:
    # It fails, by a division by zero, if another process has the lock. Waiting would hold a
    # snapshot, and the other process may wait for all snapshots to end, as CREATE INDEX
    # CONCURRENTLY does.
    query = "SELECT 1 / pg_try_advisory_xact_lock(%s, %s)::int"
    return Statement(query, advisory_key(schema))


def _must_be_at(revision: str | None, config: MigrationConfig) -> Statement:
    # The division by zero stops the replay if another process migrated the tenant meanwhile.
    table = config.version_table
    query = f'SELECT 1 / (max(version_num) IS NOT DISTINCT FROM %s)::int FROM "{table}"'
    return Statement(query, (revision,))


def _entering_after_bodies(
    recorded: Sequence[Statement], enter: Sequence[Statement], now: datetime
) -> Iterator[Statement]:
    """The recorded statements; after each body the schema is entered again (``Scope.restore``)."""
    for statement, following in zip(recorded, [*recorded[1:], None], strict=True):
        yield _dated(statement, now)
        if statement.in_body and not (following and following.in_body):
            yield from enter


def _dated(statement: Statement, now: datetime) -> Statement:
    """The same statement, with the tenant's own time instead of the recorded one."""
    if statement.in_body or not isinstance(statement.parameters, dict):
        return statement
    parameters = {
        name: now if isinstance(value, datetime) else value
        for name, value in statement.parameters.items()
    }
    return statement._replace(parameters=parameters)


def _durations(config: MigrationConfig, scripts: "Sequence[Script]") -> Statement:
    # Not clock_timestamp(): Citus lets no UPDATE of a tenant's table call what is volatile.
    query = (
        f'UPDATE "{config.history_table}"'
        " SET duration = extract(epoch FROM statement_timestamp() - now())"
        " WHERE rolled_back_at IS NULL AND revision = ANY(%s)"
    )
    return Statement(query, ([script.revision for script in scripts],))
