"""Compares the folder with the database. Reads only; takes no lock."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
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

    @cached_property
    def rows(self) -> dict[str, HistoryRow]:
        """The history by revision."""
        return {row.revision: row for row in self.history}


NOTHING_READ = DatabaseState(frozenset(), (), frozenset(), has_version_table=False)


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
        return [script for script in self.applied if script.revision not in self.state.rows]

    def gone(self) -> set[str]:
        """Revisions that are in history but no longer applied."""
        gone = self.state.rows.keys() - {script.revision for script in self.applied}
        return gone.union(*(one.older for one in self.folder.squashed if one.revision in gone))

    def changed(self) -> "list[tuple[HistoryRow, Path]]":
        """Rows whose file's code has changed since it was applied, each with the file."""
        rows = self.state.rows
        found = ((rows[s.revision], s) for s in self.applied if s.revision in rows)
        return [(row, Path(script.path)) for row, script in found if has_changed(row, script)]

    def batch_of(self, script: "Script") -> int | None:
        """The number of the batch that applied it; None for a baseline, and for a squashed one."""
        if hasattr(script.module, "replaces"):
            return None  # nothing undoes it, even if it was run
        row = self.state.rows.get(script.revision)
        return row.batch or None if row else None

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
    ends_before = (
        {row.revision for row in older} == present
        and state.heads <= state.rows.keys()
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
    if missing := _missing(folder, state):
        raise _why_missing(folder, state, missing)
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
        return MigrationStatus(tuple(map(_recorded, state.history)), ())
    ahead, missing = find_ahead(folder, state), _missing(folder, state)
    scripts, order = folder.scripts, list(state.rows)
    if not missing or _is_whole(folder):  # otherwise only history has the order
        scripts = folder.chain
        order = [script.revision for script in _applied(folder, state)] + missing
    present = {script.revision: script for script in scripts}
    completed = [
        _completed(revision, state.rows.get(revision), present.get(revision), is_ahead=bool(ahead))
        for revision in order
    ]
    pending = {name_of(s): phase_of(s) for s in scripts if s.revision not in order}
    problem = _problem(folder, state, ahead, missing, completed)
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


def _problem(
    folder: Folder,
    state: DatabaseState,
    ahead: Sequence[HistoryRow],
    missing: list[str],
    completed: Sequence[CompletedMigration],
) -> ActionableError | None:
    """Why nothing can be run, if so."""
    try:
        check_contracts_known(ahead)
    except ActionableError as problem:
        return problem
    if ahead:
        return None
    if missing:
        return _why_missing(folder, state, missing)
    changed = [migration.name for migration in completed if migration.changed]
    if changed:
        return errors.files_changed(changed, is_newest=changed == [completed[-1].name])
    return None


def _completed(
    revision: str, row: HistoryRow | None, script: "Script | None", *, is_ahead: bool
) -> CompletedMigration:
    """An applied migration; without a row history does not know it, without a script no file."""
    if row is None:
        name = name_of(script) if script else revision
        return CompletedMigration(name, revision, missing=script is None)
    if script is None:
        return replace(_recorded(row), ahead=is_ahead, missing=not is_ahead)
    return replace(_recorded(row), changed=has_changed(row, script))


def _recorded(row: HistoryRow) -> CompletedMigration:
    return CompletedMigration(
        name=row.name,
        revision=row.revision,
        batch=row.batch or None,
        applied_at=row.started_at,
        duration=row.duration,
        phase=row.phase,
        release=row.release,
    )


def _applied(folder: Folder, state: DatabaseState) -> "list[Script]":
    """The migrations up to the heads, in history's order as far as the chain allows it."""
    implied = set(state.heads)
    if not implied <= {script.revision for script in folder.chain}:
        # The file of a head is missing, so the chain before it is unknown; history still has it.
        implied |= state.rows.keys()
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
    applied = dict.fromkeys([*state.rows, *sorted(state.heads)])
    return [revision for revision in applied if revision not in present]


def _names(revisions: Iterable[str], state: DatabaseState) -> list[str]:
    rows = state.rows
    return [rows[one].name if one in rows else f"revision {one}" for one in revisions]


def _is_whole(folder: Folder) -> bool:
    """Whether the existing files form a chain without the missing ones."""
    try:
        list(folder.chain)
    except ActionableError:
        return False
    return True


def _why_missing(folder: Folder, state: DatabaseState, missing: list[str]) -> ActionableError:
    if half := half_applied(folder.squashed, state.heads):
        squashed, at = half
        return errors.squash_half_applied(squashed.name, _names(sorted(at), state))
    return errors.files_missing(_names(missing, state))


def _check_service(config: MigrationConfig, history: Iterable[HistoryRow]) -> None:
    for row in history:
        if config.service and row.service and row.service != config.service:
            raise errors.another_services_history(config.history_table, row.service, config.service)
