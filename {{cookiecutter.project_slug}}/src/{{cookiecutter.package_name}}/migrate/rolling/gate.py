"""The gate of a contract: no instance lacks it, and all backfills before it are finished.

A run is cut before the first contract whose gate is shut. Whoever opens one holds a lock that keeps
new instances from registering, until its run has ended.
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
from .instances import Instance, read_instances, remove_gone

if TYPE_CHECKING:
    from alembic.script import Script

POLL_SECONDS = 0.05
PATIENCE_SECONDS = 5.0  # registering takes milliseconds
REGISTERING = "an instance that is registering now"


@dataclass(frozen=True)
class Held:
    """What waits.

    Attributes:
        migrations: the first contract whose gate is shut, and all that follows.
        by: what keeps it shut, in words.
    """

    migrations: "tuple[Script, ...]" = ()
    by: tuple[str, ...] = ()


def hold_back(
    folder: Folder,
    chosen: "Sequence[Script]",
    instances: Sequence[Instance],
    unfinished: Sequence[str] = (),
) -> Held:
    """What of a run has to wait until instances have ended and backfills are finished.

    Args:
        unfinished: backfills that are applied, in words; those that the run applies itself come
            after them.
    """
    backfills = list(unfinished)
    for place, script in enumerate(chosen):
        backfill = backfill_of(script.module)
        if backfill and folder.config.awaits_backfills:
            backfills.append(
                str(BackfillProgress(name_of(script), script.revision, backfill.table))
            )
        if phase_of(script) != CONTRACT:
            continue
        lacking = [str(one) for one in instances if not _has(folder, one, script)]
        if by := backfills + lacking:
            return Held(tuple(chosen[place:]), tuple(by))
    return Held()


def look_at_gate(
    engine: Engine, config: MigrationConfig, folder: Folder, chosen: "Sequence[Script]"
) -> Held:
    """What of a run has to wait now. Takes no lock, so a moment later it may be otherwise."""
    if not config.scope.has_gate or not any(phase_of(script) == CONTRACT for script in chosen):
        return Held()
    living: list[Instance] = []
    if not config.force_contracts:
        living = [one for one in read_instances(engine, config) if not one.is_gone]
    return hold_back(folder, chosen, living, _unfinished(engine, config, folder, chosen))


def pass_gate(
    engine: Engine,
    config: MigrationConfig,
    folder: Folder,
    chosen: "Sequence[Script]",
    lock: MigrationLock,
) -> Held:
    """What of a run has to wait. The rest may run for as long as the lock is held.

    Looks first without keeping anybody from registering: most gates that are shut stay so.
    """
    held = look_at_gate(engine, config, folder, chosen)
    passing = chosen[: len(chosen) - len(held.migrations)]
    contracts = [script for script in passing if phase_of(script) == CONTRACT]
    if not config.scope.has_gate or not contracts:
        return held
    is_closed = _close_to_newcomers(lock)
    if config.force_contracts:
        return held
    if not is_closed:
        return Held(tuple(chosen[chosen.index(contracts[0]) :]), (REGISTERING,))
    # One that wakes up finds its row or must register again, which it cannot do now. So whoever has
    # a row counts, however old its beat is by the time it is read.
    remove_gone(engine, config)
    instances = read_instances(engine, config)
    return hold_back(folder, chosen, instances, _unfinished(engine, config, folder, chosen))


def with_gate(
    engine: Engine, config: MigrationConfig, folder: Folder, status: MigrationStatus
) -> MigrationStatus:
    """The status, with what of the pending waits for its gate set apart."""
    if not status.pending or any(migration.missing for migration in status.completed):
        return status
    pending = [script for script in folder.chain if name_of(script) in status.pending]
    held = look_at_gate(engine, config, folder, pending)
    can_run = len(pending) - len(held.migrations)
    return replace(
        status,
        pending=tuple(map(name_of, pending[:can_run])),
        held_back=tuple(map(name_of, held.migrations)),
        held_by=held.by,
    )


def as_comment(names: Sequence[str], by: Sequence[str]) -> str:
    """What waits, as a line of SQL; nothing where nothing does."""
    return f"-- Held back: {', '.join(names)}, by {'; '.join(by)}\n" if names else ""


def _unfinished(
    engine: Engine, config: MigrationConfig, folder: Folder, chosen: "Sequence[Script]"
) -> list[str]:
    """What of the backfills that are applied is not done, in words."""
    words = list(map(str, read_unfinished(engine, config)))
    applied = [s for s in folder.chain if s not in chosen and fills_tenants(s)]
    if not config.scope.has_tenants or not applied:
        return words
    # A tenant that has not applied one yet has no row that says so.
    last = folder.chain.index(applied[-1])
    with backend.reading(engine, config.scope) as connection:
        reached = [script.revision for script in folder.chain[last:]]
        behind = config.scope.lagging(connection, reached)
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
    """Whether the instance's files have a migration. Of unknown files that cannot be told: no."""
    known = {instance.revision}
    for script in reversed(folder.chain):
        if script.revision in known:
            known.update(parents(script))
    return wanted.revision in known
