"""Squashed migrations: one file that replaces the migrations in its ``replaces``.

It keeps the revision of the last of them, so Alembic's table stays correct in databases at or after
it. If a database has them all, the file counts as applied; if it has only some, it is refused.
"""

import ast
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .checksum import checksum
from .history import BASELINE, HistoryRow


@dataclass(frozen=True)
class Squashed:
    """A squashed migration.

    Attributes:
        replaces: all replaced revisions, oldest first; the last is its own.
    """

    path: Path
    revision: str
    replaces: tuple[str, ...]

    @property
    def name(self) -> str:
        """The file's name without ``.py``."""
        return self.path.stem

    @property
    def older(self) -> frozenset[str]:
        """The revisions that no longer have a file."""
        return frozenset(self.replaces) - {self.revision}


def read_squashed(path: Path) -> Squashed | None:
    """The squashed migration in a file, without importing it; None if it is not one."""
    try:
        content = path.read_bytes()
        if b"\nreplaces = " not in content.replace(b"\r\n", b"\n"):
            return None
        found = {
            target.id: ast.literal_eval(node.value)
            for node in ast.parse(content).body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name) and target.id in ("revision", "replaces")
        }
    except (OSError, SyntaxError, ValueError):
        return None  # importing the file later reports its error
    revision, revisions = found.get("revision"), found.get("replaces")
    if not isinstance(revisions, tuple) or revision not in revisions:
        return None
    return Squashed(path, str(revision), revisions)


def see_squashed(
    squashed: Iterable[Squashed], history: Sequence[HistoryRow], heads: Collection[str]
) -> tuple[tuple[HistoryRow, ...], tuple[HistoryRow, ...]]:
    """The history with squashed migrations instead of those that they replace.

    If a database has only some of the replaced ones, nothing is changed: their files are missing.

    Returns:
        That history, and the rows that are not marked as replaced yet.
    """
    unmarked: list[HistoryRow] = []
    for one in squashed:
        if not one.older.isdisjoint(heads):
            continue
        known = [row for row in history if row.revision in one.replaces]
        unmarked += [row for row in known if not _is_marked(row, one)]
        history = [
            _not_run(row, one) if row.revision == one.revision else row
            for row in history
            if row.revision not in one.older
        ]
    return tuple(history), tuple(unmarked)


def half_applied(
    squashed: Iterable[Squashed], heads: Collection[str]
) -> tuple[Squashed, frozenset[str]] | None:
    """The squashed migration of which a database has only a part, and the database's revisions."""
    for one in squashed:
        if at := one.older.intersection(heads):
            return one, at
    return None


def _is_marked(row: HistoryRow, squashed: Squashed) -> bool:
    if row.revision == squashed.revision:
        return row.name == squashed.name
    return row.batch == BASELINE


def _not_run(row: HistoryRow, squashed: Squashed) -> HistoryRow:
    """The row of the squashed migration; if its file was not run, its checksum is not compared."""
    if row.name == squashed.name and row.batch != BASELINE:
        return row
    return replace(row, name=squashed.name, batch=BASELINE, checksum=checksum(squashed.path))
