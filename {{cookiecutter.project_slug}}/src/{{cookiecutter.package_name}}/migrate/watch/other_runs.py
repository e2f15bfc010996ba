"""Runs that wrote no row. The newest row of the history stores them in its ``other_runs``.

They failed, were held back, or migrated tenants. They have no separate rows, because each reader of
the table, older versions too, counts rows as applied migrations.
"""

import json
import logging
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, select, update

from ...errors import ActionableError
from ..backends import backend
from ..config import MigrationConfig, default_config
from ..events import Observer
from ..history import HistoryWriter, history_table, read_columns
from ..results import RunState

KEPT_RUNS = 10  # of each row
PATIENCE_SECONDS = 1.0  # of waiting for a lock on the history
COMPARED = ("state", "migrations", "code", "problem")

log = logging.getLogger(__name__)

Kept = Mapping[str, Any]


@dataclass(frozen=True)
class OtherRun:
    """A run to record.

    Attributes:
        migrations: names; in a failed run, of the failed ones.
        seconds: its duration.
        held_by: the reasons, if the migrations were held back.
        tenants: number of migrated tenants, in a run over tenants.
        tenants_failed: number of failed tenants.
        backup: the backup that was made before.
    """

    state: RunState
    migrations: Sequence[str]
    seconds: float
    error: ActionableError | None = None
    held_by: Sequence[str] = ()
    tenants: int | None = None
    tenants_failed: int = 0
    backup: str | None = None

    def written(self, release: str | None) -> dict[str, Any]:
        """The run as JSON."""
        return {
            "at": datetime.now(UTC).isoformat(),
            "times": 1,
            "state": self.state,
            "migrations": list(self.migrations),
            "seconds": self.seconds,
            "held_by": list(self.held_by),
            "tenants": self.tenants,
            "tenants_failed": self.tenants_failed,
            "backup": self.backup,
            "release": release,
            **who(),
            **(self.error.as_dict() if self.error else {}),
        }


def who() -> dict[str, Any]:
    """This process."""
    return {"host": platform.node(), "pid": os.getpid()}


def keep_run(
    engine: Engine, config: MigrationConfig, run: OtherRun, *, may_alter: bool = False
) -> None:
    """Record a run, if it is possible at once, and if any migration was ever applied here.

    Never raises, because the run's own result matters more.

    Args:
        may_alter: add the column if it is missing. Only under the lock, since another
            migrator may do the same.
    """
    if not config.keeps_runs:
        return
    patient = replace(
        config,
        lock_timeout=PATIENCE_SECONDS,
        table_lock_timeout=PATIENCE_SECONDS,
        observer=Observer(),
    )
    try:
        with backend.migrating(engine, patient) as connection, connection.begin():
            _write(connection, patient, run.written(config.load_release()), may_alter=may_alter)
    except Exception as problem:  # for example SQLite's driver: the file is locked
        log.warning("The run is not in the history: %s", type(problem).__name__)


def keep_refusal(
    engine: Engine, error: ActionableError, *, config: MigrationConfig | None = None
) -> None:
    """Record in the history, if there is one, that a run was refused before its start."""
    run = OtherRun(RunState.FAILED, (), 0.0, error=error)
    keep_run(engine, config or default_config(), run)


def read_kept(written: str | None) -> list[Kept]:
    """The other runs of a row, oldest first."""
    kept: list[Kept] = json.loads(written) if written else []
    return kept


def _write(connection: Connection, config: MigrationConfig, run: Kept, *, may_alter: bool) -> None:
    columns = read_columns(connection, config)
    if not columns:  # nothing was ever applied here, and such a run creates no table
        return
    if may_alter:
        HistoryWriter(config, columns).bring_table_forward(connection)
    elif "other_runs" not in columns:
        return
    table = history_table(config.history_table)
    newest = select(table.c.id, table.c.other_runs).order_by(table.c.id.desc()).limit(1)
    row = connection.execute(newest.with_for_update()).one_or_none()
    if row is None:
        return
    kept = json.dumps(_with(read_kept(row.other_runs), run))
    connection.execute(update(table).where(table.c.id == row.id).values(other_runs=kept))


def _with(kept: list[Kept], run: Kept) -> list[Kept]:
    if not kept:
        return [{**run, "number": 1}]
    last = kept[-1]
    is_same = all(last.get(key) == run.get(key) for key in COMPARED)
    if is_same and run["tenants"] is None:
        # For example a service that is restarted repeatedly.
        again = {**run, "number": last["number"], "times": last["times"] + 1}
        return [*kept[:-1], again]
    return [*kept, {**run, "number": last["number"] + 1}][-KEPT_RUNS:]
