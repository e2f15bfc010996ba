"""Compares the folder with the database. Reads only; takes no lock."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine

from ..errors import ActionableError
from . import errors
from .backends import backend
from .config import MigrationConfig
from .folder import CONTRACT, Folder, has_changed, is_called, name_of, parents, phase_of
from .history import BASELINE, HistoryRow, read_columns, read_heads, read_history
from .results import CompletedMigration, MigrationStatus
from .squashed import half_applied, see_squashed

if TYPE_CHECKING:
    from alembic.script import Script


@dataclass(frozen=True)
class DatabaseState:
    """The applied migrations according to the database.

    Attributes:
        heads: the newest applied revisions, from Alembic's table.
        history: the engine's rows of applied migrations, in the order in which they were applied.
        columns: the columns of the history table; an older version of the engine had fewer.
        has_version_table: whether Alembic's table exists, even if it is empty.
        replaced: rows of replaced migrations that are not marked as replaced yet.
    """

    heads: frozenset[str]
    history: tuple[HistoryRow, ...]
    columns: frozenset[str]
    has_version_table: bool
    replaced: tuple[HistoryRow, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The folder compared with the database.

    Attributes:
        applied: in the order in which they were applied.
        pending: in the order in which they will run.
    """

    folder: Folder
    state: DatabaseState
    applied: "tuple[Script, ...]"
    pending: "tuple[Script, ...]"

    def unrecorded(self) -> "list[Script]":
        """Applied migrations that are not in history."""
        known = {row.revision for row in self.state.history}
        return [script for script in self.applied if script.revision not in known]

    def gone(self) -> set[str]:
        """Revisions that are in history but no longer applied."""
        applied = {script.revision for script in self.applied}
        gone = {row.revision for row in self.state.history} - applied
        return gone.union(*(one.older for one in self.folder.squashed if one.revision in gone))

    def changed(self) -> "list[tuple[HistoryRow, Path]]":
        """Rows whose file's code has changed since it was applied, each with the file."""
        rows = {row.revision: row for row in self.state.history}
        found = ((rows[s.revision], s) for s in self.applied if s.revision in rows)
        return [(row, Path(script.path)) for row, script in found if has_changed(row, script)]

    def batch_of(self, script: "Script") -> int | None:
        """The number of the batch that applied it; None for a baseline, and for a squashed one."""
        if hasattr(script.module, "replaces"):
            return None  # nothing undoes it, even if it was run
        rows = (row.batch for row in self.state.history if row.revision == script.revision)
        return next(rows, None) or None

    def newest_batch(self) -> "list[Script]":
        """The newest batch, last applied first."""
        newest = max((row.batch for row in self.state.history), default=BASELINE)
        return [s for s in reversed(self.applied) if newest and self.batch_of(s) == newest]


def read_state(engine: Engine, config: MigrationConfig) -> DatabaseState:
    """The applied migrations according to the database.

    Raises:
        ActionableError: database-away, foreign-history-table, another-services-history.
    """
    with backend.reading(engine, config.scope) as connection:
        return state_on(connection, config)


def state_on(connection: Connection, config: MigrationConfig) -> DatabaseState:
    """The same, on a connection that has entered the scope.

    Raises:
        ActionableError: foreign-history-table, another-services-history.
    """
    columns = read_columns(connection, config)
    history = read_history(connection, config, columns)
    heads = read_heads(connection, config)
    _check_service(config, history)
    return DatabaseState(frozenset(heads or ()), tuple(history), columns, heads is not None)


def seen_by(folder: Folder, state: DatabaseState) -> DatabaseState:
    """The same state, with each squashed migration instead of those that it replaces."""
    history, replaced = see_squashed(folder.squashed, state.history, state.heads)
    return replace(state, history=history, replaced=state.replaced or replaced)


def nothing_to_do(folder: Folder, state: DatabaseState) -> bool:
    """Whether exactly the files in the folder are applied.

    Compares only names and checksums, and imports neither a file nor Alembic.
    """
    state = seen_by(folder, state)
    if state.replaced or not state.history or state.heads != {state.history[-1].revision}:
        return False
    return folder.is_what_was_applied(state.history)


def find_ahead(folder: Folder, state: DatabaseState) -> tuple[HistoryRow, ...]:
    """The migrations that a newer release applied after all migrations of this folder.

    Empty if the database is not simply ahead of the folder: a file in the middle is missing, a
    migration is pending, or a missing one is not in history.

    Raises:
        ActionableError: a file cannot be imported.
    """
    state = seen_by(folder, state)
    present = {script.revision for script in folder.scripts}
    newer = tuple(row for row in state.history if row.revision not in present)
    older = state.history[: len(state.history) - len(newer)]
    recorded = {row.revision for row in state.history}
    ends_before = (
        {row.revision for row in older} == present
        and state.heads <= recorded
        and not state.heads <= present  # otherwise ``alembic stamp`` undid the newer ones
    )
    return newer if present and newer and ends_before and _is_whole(folder) else ()


def check_contracts_known(ahead: Iterable[HistoryRow]) -> None:
    """Refuse to work with a schema from which a newer release has removed something.

    Raises:
        ActionableError: contract-unknown.
    """
    if contracts := [row.with_release for row in ahead if row.phase == CONTRACT]:
        raise errors.contract_unknown(contracts)


def make_plan(folder: Folder, state: DatabaseState) -> Plan:
    """Compare the folder with the database.

    Raises:
        ActionableError: the folder has errors, or lacks files of applied migrations.
    """
    state = seen_by(folder, state)
    _check_present(folder, state)
    applied = _applied(folder, state)
    revisions = {script.revision for script in applied}
    return Plan(
        folder=folder,
        state=state,
        applied=tuple(applied),
        pending=tuple(s for s in folder.chain if s.revision not in revisions),
    )


def make_status(folder: Folder, state: DatabaseState) -> MigrationStatus:
    """Completed and pending migrations, even if files of applied ones are missing.

    Raises:
        ActionableError: the folder has errors.
    """
    state = seen_by(folder, state)
    if nothing_to_do(folder, state):
        return MigrationStatus(tuple(_completed(row) for row in state.history), ())
    if ahead := find_ahead(folder, state):
        return _status_when_ahead(folder, state, ahead)
    missing = _missing(folder, state)
    problem = _why_missing(folder, state, missing) if missing else None
    if missing and not _is_whole(folder):
        return _status_of_history(folder, state, missing, problem)
    rows = {row.revision: row for row in state.history}
    applied = _applied(folder, state)
    completed = [
        _completed(rows[script.revision], changed=has_changed(rows[script.revision], script))
        if script.revision in rows
        else CompletedMigration(name_of(script), script.revision)
        for script in applied
    ]
    completed += _absent(missing, state)
    pending = {name_of(s): phase_of(s) for s in folder.chain if s not in applied}
    changed = [migration.name for migration in completed if migration.changed]
    if changed and problem is None:
        problem = errors.files_changed(changed, is_newest=changed == [completed[-1].name])
    return MigrationStatus(tuple(completed), tuple(pending), problem, phases=pending)


def find(scripts: "Sequence[Script]", name: str) -> "Script":
    """The one migration of this name.

    Raises:
        ActionableError: name-unknown, name-ambiguous.
    """
    found = [script for script in scripts if is_called(script, name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise errors.name_ambiguous(name, [name_of(script) for script in found])
    raise errors.name_unknown(name)


def _status_when_ahead(
    folder: Folder, state: DatabaseState, ahead: Sequence[HistoryRow]
) -> MigrationStatus:
    scripts = {script.revision: script for script in folder.scripts}
    completed = [
        _completed(row, ahead=True)
        if row in ahead
        else _completed(row, changed=has_changed(row, scripts[row.revision]))
        for row in state.history
    ]
    try:
        check_contracts_known(ahead)
    except ActionableError as problem:
        return MigrationStatus(tuple(completed), (), problem)
    return MigrationStatus(tuple(completed), ())


def _status_of_history(
    folder: Folder, state: DatabaseState, missing: Sequence[str], problem: ActionableError | None
) -> MigrationStatus:
    # A file in the middle of the chain is missing: only history has the order.
    absent = set(missing)
    completed = [_completed(row, missing=row.revision in absent) for row in state.history]
    known = {row.revision for row in state.history}
    pending = {name_of(s): phase_of(s) for s in folder.scripts if s.revision not in known}
    return MigrationStatus(tuple(completed), tuple(pending), problem, phases=pending)


def _absent(missing: Iterable[str], state: DatabaseState) -> list[CompletedMigration]:
    rows = {row.revision: row for row in state.history}
    return [
        _completed(rows[revision], missing=True)
        if revision in rows
        else CompletedMigration(revision, revision, missing=True)
        for revision in missing
    ]


def _completed(
    row: HistoryRow, *, changed: bool = False, missing: bool = False, ahead: bool = False
) -> CompletedMigration:
    return CompletedMigration(
        name=row.name,
        revision=row.revision,
        batch=row.batch or None,
        applied_at=row.started_at,
        duration=row.duration,
        changed=changed,
        missing=missing,
        ahead=ahead,
        phase=row.phase,
        release=row.release,
    )


def _applied(folder: Folder, state: DatabaseState) -> "list[Script]":
    """The migrations up to the heads, in history's order as far as the chain allows it."""
    implied = set(state.heads)
    if not implied <= {script.revision for script in folder.chain}:
        # The file of a head is missing, so the chain before it is unknown; history still has it.
        implied |= {row.revision for row in state.history}
    for script in reversed(folder.chain):
        if script.revision in implied:
            implied.update(parents(script))
    # Branches are merged in the order in which they were applied, and each after its parents.
    place = {row.revision: row.id for row in state.history}
    for script in folder.chain:
        before = [place.get(parent, 0) for parent in parents(script)]
        place[script.revision] = max(place.get(script.revision, 0), *before, 0)
    found = [script for script in folder.chain if script.revision in implied]
    return sorted(found, key=lambda script: place[script.revision])


def _missing(folder: Folder, state: DatabaseState) -> list[str]:
    """Applied revisions without a file, oldest first."""
    present = {script.revision for script in folder.scripts}
    applied = dict.fromkeys([*(row.revision for row in state.history), *sorted(state.heads)])
    return [revision for revision in applied if revision not in present]


def _names(revisions: Iterable[str], state: DatabaseState) -> list[str]:
    names = {row.revision: row.name for row in state.history}
    return [names.get(revision, f"revision {revision}") for revision in revisions]


def _is_whole(folder: Folder) -> bool:
    """Whether the existing files form a chain without the missing ones."""
    try:
        list(folder.chain)
    except ActionableError:
        return False
    return True


def _check_present(folder: Folder, state: DatabaseState) -> None:
    if missing := _missing(folder, state):
        raise _why_missing(folder, state, missing)


def _why_missing(folder: Folder, state: DatabaseState, missing: list[str]) -> ActionableError:
    if half := half_applied(folder.squashed, state.heads):
        squashed, at = half
        return errors.squash_half_applied(squashed.name, _names(sorted(at), state))
    return errors.files_missing(_names(missing, state))


def _check_service(config: MigrationConfig, history: Iterable[HistoryRow]) -> None:
    for row in history:
        if config.service and row.service and row.service != config.service:
            raise errors.another_services_history(config.history_table, row.service, config.service)
