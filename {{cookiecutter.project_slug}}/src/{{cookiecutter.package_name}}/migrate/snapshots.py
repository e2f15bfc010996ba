"""Snapshots and fingerprints of what a configuration migrates."""

from contextlib import suppress
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, update
from sqlalchemy.exc import SQLAlchemyError

from .backends import backend
from .bookkeeping import find_bookkeeping
from .config import MigrationConfig
from .drift import Snapshot, read_fingerprints, take_snapshot
from .history import history_table

if TYPE_CHECKING:
    from collections.abc import Collection

    from alembic.runtime.migration import MigrationContext, MigrationInfo


def schema_name(config: MigrationConfig) -> str:
    """The schema that a configuration's migrations are applied to."""
    return config.scope.name or backend.SCHEMA


def live_snapshot(engine: Engine, config: MigrationConfig) -> Snapshot:
    """The schema of a configuration as it is now.

    Raises:
        ActionableError: database-away, database-refuses.
    """
    with backend.reading(engine) as connection:
        return take_snapshot(connection, schema_name(config), excluded=config.excluded_names)


def other_tools(engine: Engine, config: MigrationConfig) -> dict[str, str]:
    """The bookkeeping tables of other tools that are there, by name, each with its tool.

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
    """The fingerprint of each schema that is there."""
    return read_fingerprints(connection, schemas, excluded=config.excluded_names)


class FingerprintWriter:
    """Alembic's ``on_version_apply`` hook: keeps in the history what the schema is after a unit.

    It is the fingerprint of the newest migration that still applies, written in the unit's own
    transaction. One that cannot be read is not kept, and keeps no migration from being run.

    Args:
        last: the revision of the unit's last migration.
    """

    def __init__(self, config: MigrationConfig, last: str) -> None:
        self._config = config
        self._last = last

    def __call__(self, *, ctx: "MigrationContext", step: "MigrationInfo", **_: object) -> None:
        if step.up_revision_id == self._last:
            assert ctx.connection is not None
            with suppress(SQLAlchemyError):
                self._record(ctx.connection, step.destination_revision_ids)

    def _record(self, connection: Connection, newest: "Collection[str]") -> None:
        schema = schema_name(self._config)
        found = live_fingerprints(connection, self._config, [schema]).get(schema)
        table = history_table(self._config.history_table)
        connection.execute(
            update(table)
            .where(table.c.revision.in_(newest), table.c.rolled_back_at.is_(None))
            .values(fingerprint=found)
        )
