"""Squashed migrations: one file that stands for the migrations that ``replaces`` names.

It keeps the revision of the last of them, so Alembic's table stays right in databases at or past it.
A database that has them all counts it as applied; one that has only some of them is refused.
"""

import ast
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .checksum import checksum
from .history import BASELINE, HistoryRow


@dataclass(frozen=True)
class Squashed:
    """A squashed migration, as its file says it.

    Attributes:
        replaces: every revision that it stands for, oldest first; the last is its own.
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
        """The revisions that have no file any more."""
        return frozenset(self.replaces) - {self.revision}


def read_squashed(path: Path) -> Squashed | None:
    """What a file says, without importing it; None where it is no squashed migration."""
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
        return None  # whoever imports the file says what is wrong with it
    revision, revisions = found.get("revision"), found.get("replaces")
    if not isinstance(revisions, tuple) or revision not in revisions:
        return None
    return Squashed(path, str(revision), revisions)


def see_squashed(
    squashed: Iterable[Squashed], history: Sequence[HistoryRow], heads: Collection[str]
) -> tuple[tuple[HistoryRow, ...], tuple[HistoryRow, ...]]:
    """The history in which squashed migrations stand for what they replace.

    A database that has only some of what is replaced is seen as it is: their files are missing.

    Returns:
        That history, and the rows that do not say yet that they were replaced.
    """
    unnoted: list[HistoryRow] = []
    for one in squashed:
        if not one.older.isdisjoint(heads):
            continue
        known = [row for row in history if row.revision in one.replaces]
        unnoted += [row for row in known if not _is_noted(row, one)]
        history = [
            _not_run(row, one) if row.revision == one.revision else row
            for row in history
            if row.revision not in one.older
        ]
    return tuple(history), tuple(unnoted)


def half_applied(
    squashed: Iterable[Squashed], heads: Collection[str]
) -> tuple[Squashed, frozenset[str]] | None:
    """The squashed migration of which a database has only a part, and where the database is."""
    for one in squashed:
        if at := one.older.intersection(heads):
            return one, at
    return None


def _is_noted(row: HistoryRow, squashed: Squashed) -> bool:
    if row.revision == squashed.revision:
        return row.name == squashed.name
    return row.batch == BASELINE


def _not_run(row: HistoryRow, squashed: Squashed) -> HistoryRow:
    """The row of the squashed migration; what was not run from its file is not compared with it."""
    if row.name == squashed.name and row.batch != BASELINE:
        return row
    return replace(row, name=squashed.name, batch=BASELINE, checksum=checksum(squashed.path))
