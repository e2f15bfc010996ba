"""Compares the folder with the database. Reads only; takes no lock."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from .config import MigrationConfig
from .directory import checksums, is_called, load_scripts, name_of, ordered
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
        paths = {script.revision: Path(script.path) for script in self.applied}
        found = ((row, paths[row.revision]) for row in self.stand.history if row.revision in paths)
        return [(row, path) for row, path in found if checksum(path) != row.checksum]

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
    try:
        with reading(engine, config) as connection:
            return Stand(frozenset(read_heads(connection)), tuple(read_history(connection)))
    except SQLAlchemyError as error:
        raise cannot_reach(engine, error) from error


def cannot_reach(engine: Engine, error: Exception) -> MigrationError:
    """The error of a database that does not answer. Never shows the password."""
    cause = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
    return MigrationError(
        f"The database {engine.url.render_as_string()} does not answer: {cause}",
        "Nothing was run.",
        "Start it, or correct DATABASE_URL.",
    )


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
    sums = checksums(config)
    unknown = _missing(scripts, stand)
    applied = {script.revision: script for script in _applied(scripts, stand)}
    recorded = {row.revision for row in stand.history}
    completed = [
        *(
            CompletedMigration(name_of(script), script.revision)
            for script in applied.values()
            if script.revision not in recorded
        ),
        *(
            _completed(
                row, changed=sums.get(row.name) != row.checksum, missing=row.revision in unknown
            )
            for row in stand.history
            if row.revision in applied or row.revision in unknown
        ),
    ]
    pending = (name_of(s) for s in ordered(scripts) if s.revision not in applied)
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
        changed=changed and not missing,
        missing=missing,
    )


def _applied(scripts: "ScriptDirectory", stand: Stand) -> "list[Script]":
    """What Alembic's heads imply, in history's order, and before it what history does not know."""
    present = [head for head in stand.heads if _has(scripts, head)]
    implied = scripts.iterate_revisions(tuple(present), "base") if present else ()
    order = {row.revision: row.id for row in stand.history}
    chain = list(implied)[::-1]
    return sorted(chain, key=lambda script: order.get(script.revision, 0))


def _has(scripts: "ScriptDirectory", revision: str) -> bool:
    return any(script.revision == revision for script in ordered(scripts))


def _missing(scripts: "ScriptDirectory", stand: Stand) -> set[str]:
    present = {script.revision for script in ordered(scripts)}
    return {*stand.heads, *(row.revision for row in stand.history)} - present


def _check_present(scripts: "ScriptDirectory", stand: Stand) -> None:
    missing = _missing(scripts, stand)
    if not missing:
        return
    names = {row.revision: row.name for row in stand.history}
    listed = sorted(names.get(revision, f"revision {revision}") for revision in missing)
    raise MigrationError(
        f"Files of {len(listed)} applied migrations are missing: {', '.join(listed)}",
        "Nothing was run: this database is ahead of this folder, or files were lost.",
        "Restore the files, or run the version of the service that has them.",
    )
