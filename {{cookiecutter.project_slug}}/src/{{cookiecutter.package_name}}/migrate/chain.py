"""The schema that the migrations make, found out by running them in an empty database."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from .backends import backend
from .config import MigrationConfig
from .drift import Snapshot
from .events import Observer
from .plan import Plan
from .runner import upgrade
from .snapshots import live_snapshot

if TYPE_CHECKING:
    from alembic.script import Script


def chain_snapshot(
    engine: Engine, config: MigrationConfig, revisions: Collection[str] | None = None
) -> Snapshot:
    """The schema that the migrations make, in a scratch database on the same server.

    Args:
        revisions: of the migrations to apply; all when left out.

    Raises:
        ActionableError: no-scratch-database, or a migration does not run on an empty database.
    """
    with migrated_scratch(engine, config, revisions) as scratch:
        return live_snapshot(scratch, config)


@contextmanager
def migrated_scratch(
    engine: Engine, config: MigrationConfig, revisions: Collection[str] | None = None
) -> Iterator[Engine]:
    """An engine for a scratch database in which the migrations were run. As above.

    Raises:
        ActionableError: as above.
    """

    def choose(plan: Plan) -> "list[Script]":
        return [s for s in plan.pending if revisions is None or s.revision in revisions]

    with backend.scratch(engine) as scratch:
        upgrade(scratch, quiet(config), choose).raise_for_error()
        yield scratch


def quiet(config: MigrationConfig) -> MigrationConfig:
    """The configuration with which a scratch database is migrated: nobody hears of it."""
    return replace(config, observer=Observer(), tenant_roles=False)
