"""Snapshots and fingerprints of the schema of a configuration."""

from contextlib import suppress
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, update
from sqlalchemy.exc import SQLAlchemyError

from .backends import backend
from .backends.common import check_engine
from .bookkeeping import find_bookkeeping
from .config import MigrationConfig, default_config
from .drift import Snapshot, read_fingerprints, take_snapshot
from .history import history_table

if TYPE_CHECKING:
    from collections.abc import Collection

    from alembic.runtime.migration import MigrationContext, MigrationInfo


def schema_name(config: MigrationConfig) -> str:
    """The name of the schema of a configuration."""
    return config.scope.name or backend.SCHEMA


def snapshot_schema(engine: Engine, *, config: MigrationConfig | None = None) -> Snapshot:
    """The database's current schema, without the tables of the engine and of other tools.

    Raises:
        ActionableError: database-away, database-refuses.
    """
    check_engine(engine, backend.DIALECT, backend.DRIVER)
    config = config or default_config()
    with backend.reading(engine) as connection:
        return take_snapshot(connection, schema_name(config), excluded=config.excluded_names)


def other_tools(engine: Engine, config: MigrationConfig) -> dict[str, str]:
    """The existing bookkeeping tables of other tools, by name, each with its tool.

    Raises:
        ActionableError: database-away, database-refuses.
    """
    with backend.reading(engine) as connection:
        found = find_bookkeeping(connection, schema_name(config))
    own = (config.history_table, config.version_table)
    return {
        name: tool for name, tool in found.items() if name not in own and tool != "this service"
    }


def live_fingerprints(
    connection: Connection, config: MigrationConfig, schemas: "Collection[str]"
) -> dict[str, str]:
    """The fingerprint of each existing schema."""
    return read_fingerprints(connection, schemas, excluded=config.excluded_names)


class FingerprintWriter:
    """Alembic's ``on_version_apply`` hook: stores the schema's fingerprint after a unit in history.

    It goes into the row of the newest applied migration, in the unit's own
    transaction. A fingerprint that cannot be read is not stored, and fails no migration.

    Args:
        last: the revision of the unit's last migration.
    """

    def __init__(self, config: MigrationConfig, last: str) -> None:
        self._config = config
        self._last = last

    def __call__(self, *, ctx: "MigrationContext", step: "MigrationInfo", **_: object) -> None:
        if step.up_revision_id == self._last:
            assert ctx.bind is not None
            with suppress(SQLAlchemyError):
                self._record(ctx.bind, step.destination_revision_ids)

    def _record(self, connection: Connection, newest: "Collection[str]") -> None:
        schema = schema_name(self._config)
        found = live_fingerprints(connection, self._config, [schema]).get(schema)
        table = history_table(self._config.history_table)
        connection.execute(
            update(table)
            .where(table.c.revision.in_(newest), table.c.rolled_back_at.is_(None))
            .values(fingerprint=found)
        )
