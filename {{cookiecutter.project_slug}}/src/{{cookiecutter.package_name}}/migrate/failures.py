"""Runs that failed, kept in the history: on its newest row, in the column ``failures``.

They have no rows of their own: each reader of the table, older versions too, counts rows as
migrations that were applied.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, select, update
from sqlalchemy.exc import SQLAlchemyError

from ..errors import ActionableError
from .backends import backend
from .config import MigrationConfig
from .events import Observer
from .history import HistoryWriter, history_table, read_columns

KEPT_FAILURES = 10  # of each row
PATIENCE_SECONDS = 1.0  # for whatever locks the history
COMPARED = ("migrations", "code", "problem")

log = logging.getLogger(__name__)

Failure = Mapping[str, Any]


def note_failure(
    engine: Engine,
    config: MigrationConfig,
    migrations: Sequence[str],
    error: ActionableError,
    how: Mapping[str, Any],
) -> None:
    """Keep that a run failed, if that can be done at once. Never raises; the error matters more.

    Args:
        migrations: names of those that failed.
        how: what else is kept: who ran it, how long.
    """
    patient = replace(
        config,
        lock_timeout=PATIENCE_SECONDS,
        table_lock_timeout=PATIENCE_SECONDS,
        observer=Observer(),
    )
    failure = {
        "at": datetime.now(UTC).isoformat(),
        "times": 1,
        "migrations": list(migrations),
        "release": config.load_release(),
        **error.as_dict(),
        **how,
    }
    try:
        with backend.migrating(engine, patient) as connection, connection.begin():
            _write(connection, patient, failure)
    except (SQLAlchemyError, ActionableError) as problem:
        log.warning("The failed run is not in the history: %s", type(problem).__name__)


def read_failures(written: str | None) -> list[Failure]:
    """The failures that a row has, oldest first."""
    kept: list[Failure] = json.loads(written) if written else []
    return kept


def _write(connection: Connection, config: MigrationConfig, failure: Failure) -> None:
    columns = read_columns(connection, config)
    if not columns:
        return
    HistoryWriter(config, columns).bring_table_forward(connection.execute, connection.dialect)
    table = history_table(config.history_table)
    newest = select(table.c.id, table.c.failures).order_by(table.c.id.desc()).limit(1)
    if (row := connection.execute(newest).one_or_none()) is None:
        return
    kept = _with(read_failures(row.failures), failure)
    connection.execute(update(table).where(table.c.id == row.id).values(failures=json.dumps(kept)))


def _with(kept: list[Failure], failure: Failure) -> list[Failure]:
    if not kept:
        return [{**failure, "number": 1}]
    last = kept[-1]
    if all(last[key] == failure[key] for key in COMPARED):
        # As when a service is started again and again.
        again = {**failure, "number": last["number"], "times": last["times"] + 1}
        return [*kept[:-1], again]
    return [*kept, {**failure, "number": last["number"] + 1}][-KEPT_FAILURES:]
