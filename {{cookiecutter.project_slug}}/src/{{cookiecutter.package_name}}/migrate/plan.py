"""Compares the folder with the database. Reads only; takes no lock."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from .config import MigrationConfig
from .folder import checksums, is_called, load_scripts, name_of, ordered, parents
from .history import HistoryRow, checksum, read_heads, read_history
from .results import CompletedMigration, MigrationError, MigrationStatus
from .transaction import reading

if TYPE_CHECKING:
    from alembic.script import Script, ScriptDirectory


@dataclass(frozen=True)
class Stand:
    """What the database says of itself."""

    heads: frozenset[str]
    history: tuple[HistoryRow, ...]


@dataclass(frozen=True)
class Plan:
    """The folder and the database side by side.

    Attributes:
        applied: in the order in which they were applied.
        pending: first to run first.
    """

    scripts: "ScriptDirectory"
    stand: Stand
    applied: "tuple[Script, ...]"
    pending: "tuple[Script, ...]"

    def unrecorded(self) -> "list[Script]":
        """Applied migrations that history does not know."""
        known = {row.revision for row in self.stand.history}
        return [script for script in self.applied if script.revision not in known]

    def gone(self) -> set[str]:
        """Revisions that history has and the database has no more."""
        applied = {script.revision for script in self.applied}
        return {row.revision for row in self.stand.history} - applied

    def changed(self) -> "list[tuple[HistoryRow, Path]]":
        """Rows whose file is not the one that was applied, each with the file."""
        rows = {row.revision: row for row in self.stand.history}
        found = ((rows[s.revision], s) for s in self.applied if s.revision in rows)
        return [(row, Path(script.path)) for row, script in found if _has_changed(row, script)]

    def batch_of(self, script: "Script") -> int | None:
        """The number of the batch that applied it."""
        rows = (row.batch for row in self.stand.history if row.revision == script.revision)
        return next(rows, None)

    def newest_batch(self) -> "list[Script]":
        """The newest batch, last applied first."""
        newest = max((row.batch for row in self.stand.history), default=None)
        members = {row.revision for row in self.stand.history if row.batch == newest}
        return [script for script in reversed(self.applied) if script.revision in members]


def read_stand(engine: Engine, config: MigrationConfig) -> Stand:
    """What the database says of itself.

    Raises:
        MigrationError: the database does not answer.
    """
    with reading(engine, config.scope) as connection:
        return Stand(frozenset(read_heads(connection)), tuple(read_history(connection)))


def nothing_to_do(config: MigrationConfig, stand: Stand) -> bool:
    """Whether the very files that are here were applied, all of them and no others.

    Compares names and checksums only: no file is imported, nor is Alembic.
    """
    if not stand.history or stand.heads != {stand.history[-1].revision}:
        return False
    return {row.name: row.checksum for row in stand.history} == checksums(config)


def make_plan(config: MigrationConfig, stand: Stand) -> Plan:
    """Compare.

    Raises:
        MigrationError: the folder is not in order, or lacks files of applied migrations.
    """
    scripts = load_scripts(config)
    _check_present(scripts, stand)
    applied = _applied(scripts, stand)
    revisions = {script.revision for script in applied}
    return Plan(
        scripts=scripts,
        stand=stand,
        applied=tuple(applied),
        pending=tuple(s for s in ordered(scripts) if s.revision not in revisions),
    )


def make_status(config: MigrationConfig, stand: Stand) -> MigrationStatus:
    """Completed and pending, also when files of applied migrations are missing.

    Raises:
        MigrationError: the folder is not in order.
    """
    if nothing_to_do(config, stand):
        return MigrationStatus(tuple(_completed(row) for row in stand.history), ())
    scripts = load_scripts(config)
    rows = {row.revision: row for row in stand.history}
    applied = _applied(scripts, stand)
    completed = [
        _completed(rows[script.revision], changed=_has_changed(rows[script.revision], script))
        if script.revision in rows
        else CompletedMigration(name_of(script), script.revision)
        for script in applied
    ]
    completed += [
        _completed(rows[revision], missing=True)
        if revision in rows
        else CompletedMigration(revision, revision, missing=True)
        for revision in _missing(scripts, stand)
    ]
    pending = (name_of(script) for script in ordered(scripts) if script not in applied)
    return MigrationStatus(tuple(completed), tuple(pending))


def find(scripts: "Sequence[Script]", name: str) -> "Script":
    """The one migration of this name.

    Raises:
        MigrationError: no migration or several have it.
    """
    found = [script for script in scripts if is_called(script, name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise MigrationError(
            f"{name!r} names {len(found)} migrations: {', '.join(map(name_of, found))}",
            "Nothing was run.",
            "Name one of them by its revision, the number at its start.",
        )
    raise MigrationError(
        f"No migration is called {name!r}.",
        "Nothing was run.",
        "See their names: migrate list",
    )


def _completed(
    row: HistoryRow, *, changed: bool = False, missing: bool = False
) -> CompletedMigration:
    return CompletedMigration(
        name=row.name,
        revision=row.revision,
        batch=row.batch,
        applied_at=row.started_at,
        duration=row.duration,
        changed=changed,
        missing=missing,
    )


def _has_changed(row: HistoryRow, script: "Script") -> bool:
    return checksum(Path(script.path)) != row.checksum


def _applied(scripts: "ScriptDirectory", stand: Stand) -> "list[Script]":
    """What the heads stand on, in history's order as far as the chain allows it."""
    chain = ordered(scripts)
    implied = set(stand.heads)
    if not implied <= {script.revision for script in chain}:
        # The file of a head is gone, and with it what it stood on; history still knows.
        implied |= {row.revision for row in stand.history}
    for script in reversed(chain):
        if script.revision in implied:
            implied.update(parents(script))
    # Branches interleave as they were applied, and none comes before what it stands on.
    place = {row.revision: row.id for row in stand.history}
    for script in chain:
        before = [place.get(parent, 0) for parent in parents(script)]
        place[script.revision] = max(place.get(script.revision, 0), *before, 0)
    found = [script for script in chain if script.revision in implied]
    return sorted(found, key=lambda script: place[script.revision])


def _missing(scripts: "ScriptDirectory", stand: Stand) -> list[str]:
    """Revisions of which the database speaks and no file does, oldest first."""
    present = {script.revision for script in ordered(scripts)}
    spoken_of = dict.fromkeys([*(row.revision for row in stand.history), *sorted(stand.heads)])
    return [revision for revision in spoken_of if revision not in present]


def _check_present(scripts: "ScriptDirectory", stand: Stand) -> None:
    missing = _missing(scripts, stand)
    if not missing:
        return
    names = {row.revision: row.name for row in stand.history}
    listed = [names.get(revision, f"revision {revision}") for revision in missing]
    raise MigrationError(
        f"Files of {len(listed)} applied migrations are missing: {', '.join(listed)}",
        "Nothing was run: this database is ahead of this folder, or files were lost.",
        "Restore the files, or run the version of the service that has them.",
    )
