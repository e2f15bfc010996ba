"""The gate of a contract: no instance lacks it, and all backfills before it are finished.

A run ends before the first contract whose gate is closed. A process that opens a gate holds a lock
until the end of its run, so that no new instance can register.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from ...words import count
from ..backends import backend
from ..backends.common import MigrationLock
from ..backfill import backfill_of, read_unfinished
from ..config import MigrationConfig
from ..folder import CONTRACT, Folder, fills_tenants, name_of, parents, phase_of
from ..results import BackfillProgress, MigrationStatus
from .instances import Instance, get_instances, remove_gone

if TYPE_CHECKING:
    from alembic.script import Script

POLL_SECONDS = 0.05
PATIENCE_SECONDS = 5.0  # registering takes milliseconds
REGISTERING = "an instance that is registering now"


@dataclass(frozen=True)
class Held:
    """The migrations that wait.

    Attributes:
        migrations: the first contract whose gate is closed, and all migrations after it.
        by: the reasons, in words.
    """

    migrations: "tuple[Script, ...]" = ()
    by: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the migrations."""
        return tuple(map(name_of, self.migrations))

    def before(self, chosen: "Sequence[Script]") -> "Sequence[Script]":
        """The migrations of a run that need not wait."""
        return chosen[: len(chosen) - len(self.migrations)]


def look_at_gate(
    engine: Engine, config: MigrationConfig, folder: Folder, chosen: "Sequence[Script]"
) -> Held:
    """The migrations that must wait now. It takes no lock, so this may change at any moment."""
    if not config.scope.has_gate or not any(phase_of(script) == CONTRACT for script in chosen):
        return Held()
    living: list[Instance] = []
    if not config.force_contracts:
        living = [one for one in get_instances(engine, config=config) if not one.is_gone]
    return _hold_back(engine, config, folder, chosen, living)


def pass_gate(
    engine: Engine,
    config: MigrationConfig,
    folder: Folder,
    chosen: "Sequence[Script]",
    lock: MigrationLock,
) -> Held:
    """The migrations that must wait. The others may run while the lock is held.

    It first looks without blocking registrations: most closed gates stay closed.
    """
    held = look_at_gate(engine, config, folder, chosen)
    contracts = [script for script in held.before(chosen) if phase_of(script) == CONTRACT]
    if not config.scope.has_gate or not contracts:
        return held
    is_closed = _close_to_newcomers(lock)
    if config.force_contracts:
        return held
    if not is_closed:
        return Held(tuple(chosen[chosen.index(contracts[0]) :]), (REGISTERING,))
    # An instance that wakes up finds its row, or must register again, which it cannot do now. So
    # every instance with a row counts, even if its last beat is old.
    remove_gone(engine, config)
    return _hold_back(engine, config, folder, chosen, get_instances(engine, config=config))


def with_gate(
    engine: Engine, config: MigrationConfig, folder: Folder, status: MigrationStatus
) -> MigrationStatus:
    """The status, with the pending migrations that wait for a gate moved to ``held_back``."""
    if not status.pending or any(migration.missing for migration in status.completed):
        return status
    pending = [script for script in folder.chain if name_of(script) in status.pending]
    held = look_at_gate(engine, config, folder, pending)
    can_run = tuple(map(name_of, held.before(pending)))
    return replace(status, pending=can_run, held_back=held.names, held_by=held.by)


def as_comment(names: Sequence[str], by: Sequence[str]) -> str:
    """The waiting migrations as a comment of SQL; empty if none wait."""
    return f"-- Held back: {', '.join(names)}, by {'; '.join(by)}\n" if names else ""


def _hold_back(
    engine: Engine,
    config: MigrationConfig,
    folder: Folder,
    chosen: "Sequence[Script]",
    instances: Sequence[Instance],
) -> Held:
    """The migrations of a run that must wait for instances to end and backfills to finish.

    Backfills that the run itself applies are unfinished too.
    """
    backfills = _unfinished(engine, config, folder, chosen)
    for place, script in enumerate(chosen):
        backfill = backfill_of(script.module)
        if backfill and config.awaits_backfills:
            backfills.append(
                str(BackfillProgress(name_of(script), script.revision, backfill.table))
            )
        if phase_of(script) != CONTRACT:
            continue
        lacking = [str(one) for one in instances if not _has(folder, one, script)]
        if by := backfills + lacking:
            return Held(tuple(chosen[place:]), tuple(by))
    return Held()


def _unfinished(
    engine: Engine, config: MigrationConfig, folder: Folder, chosen: "Sequence[Script]"
) -> list[str]:
    """The unfinished applied backfills, in words."""
    words = list(map(str, read_unfinished(engine, config)))
    applied = [s for s in folder.chain if s not in chosen and fills_tenants(s)]
    if not config.scope.has_tenants or not applied:
        return words
    # A tenant that has not applied a backfill yet has no row for it.
    last = folder.chain.index(applied[-1])
    with backend.reading(engine, config.scope) as connection:
        reached = [script.revision for script in folder.chain[last:]]
        behind = config.scope.count_lagging(connection, reached)
    name = name_of(applied[-1])
    return words + ([f"{count(behind, 'tenant')} without {name}"] if behind else [])


def _close_to_newcomers(lock: MigrationLock) -> bool:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not lock.close_gate():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _has(folder: Folder, instance: Instance, wanted: "Script") -> bool:
    """Whether the instance's files have a migration. If the files are unknown: no."""
    known = {instance.revision}
    for script in reversed(folder.chain):
        if script.revision in known:
            known.update(parents(script))
    return wanted.revision in known
