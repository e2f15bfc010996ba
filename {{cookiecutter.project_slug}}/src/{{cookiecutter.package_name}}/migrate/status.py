"""The migrations of a database: completed, pending, and held back."""

import time

from sqlalchemy import Engine

from .backends import backend
from .backends.common import check_engine
from .backfill import with_backfills
from .config import MigrationConfig, default_config
from .folder import Folder
from .plan import make_status, read_state
from .results import MigrationStatus
from .rolling.gate import with_gate

GATE_POLL_SECONDS = 0.5


def get_migration_status(
    engine: Engine, *, config: MigrationConfig | None = None
) -> MigrationStatus:
    """Completed and pending migrations. Writes nothing and takes no lock.

    Raises:
        ActionableError: the database does not answer, or the folder has errors.
    """
    config = config or default_config()
    return read_status(engine, config, Folder(config))


def read_status(engine: Engine, config: MigrationConfig, folder: Folder) -> MigrationStatus:
    """The same, with a folder that others use too.

    Raises:
        ActionableError: the database does not answer, or the folder has errors.
    """
    check_engine(engine, backend.DIALECT, backend.DRIVER)
    status = with_backfills(engine, config, make_status(folder, read_state(engine, config)))
    return with_gate(engine, config, folder, status)


def wait_for_gate(
    engine: Engine, seconds: float, *, config: MigrationConfig | None = None
) -> MigrationStatus:
    """Wait until nothing is held back or the time is over, and return the status.

    Raises:
        ActionableError: the database does not answer, or the folder has errors.
    """
    config = config or default_config()
    folder, until = Folder(config), time.monotonic() + seconds
    while (status := read_status(engine, config, folder)).held_back:
        if time.monotonic() >= until:
            break
        time.sleep(GATE_POLL_SECONDS)
    return status
