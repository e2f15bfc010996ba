"""The folder of migration files. All files are checked before one of them runs.

A :class:`Folder` is made once for a run and passed on. It reads nothing when it is made, and imports
no file until a migration is needed: most starts only compare names and checksums.
"""

import ast
import inspect
import re
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..errors import ActionableError
from . import errors
from .backfill import backfill_of, check_backfill, with_progress
from .checksum import does_the_same, is_same_file
from .config import MigrationConfig
from .file_state import remembers
from .history import DEFAULT_PHASE, REVISION_LENGTH, HistoryRow
from .squashed import Squashed, read_squashed

if TYPE_CHECKING:
    from alembic.script import Script, ScriptDirectory

BACKFILL = "backfill"
CONTRACT = "contract"
PHASES = (DEFAULT_PHASE, BACKFILL, CONTRACT)
SCHEMAS = ("tenants", "shared", "all")
# The values of a module's attributes; the first is the default.
_KNOWN: dict[str, Sequence[Any]] = {
    "phase": PHASES,
    "schemas": SCHEMAS,
    "transaction": (True, False),
}
_NOT_PLAIN = (
    inspect.iscoroutinefunction,
    inspect.isgeneratorfunction,
    inspect.isasyncgenfunction,
)

NAME_LENGTH = 100  # leaves room for the number in a file name and in migration_history
_NAME = re.compile(r"^[a-z0-9]+(_[a-z0-9]+)*$")
# 001_create_users_table, 20261122213000_add_avatar: digits, then the name given to "make".
_FILE_NAME = re.compile(r"^\d+_(?P<typed>.+)$")


class Folder:
    """The migration files of a configuration."""

    def __init__(self, config: MigrationConfig) -> None:
        self.config = config

    @cached_property
    def paths(self) -> dict[str, Path]:
        """Every file, by its name without ``.py``.

        Raises:
            ActionableError: folder-missing.
        """
        if not self.config.versions.is_dir():
            raise errors.folder_missing(self.config.versions)
        files = (path for path in self.config.versions.glob("*.py") if path.name[0] not in "._")
        return {path.stem: path for path in sorted(files)}

    def for_next_run(self) -> "Folder":
        """The folder for one more run of the same migrations, on another schema.

        State that a file keeps from the previous run must not reach it: then all files are imported
        again.
        """
        return Folder(self.config) if self._remembers else self

    def as_it_is_now(self) -> "Folder":
        """This folder, or a new one if somebody has changed the files since they were loaded."""
        now = Folder(self.config)
        try:
            is_same = now._written == self._written
        except ActionableError:  # the folder is gone: the next run says so
            return now
        return self if is_same else now

    @cached_property
    def _written(self) -> dict[str, tuple[int, int] | None]:
        """Time and size of each file; None for one that cannot be read."""
        return {name: _time_and_size(path) for name, path in self.paths.items()}

    @cached_property
    def _remembers(self) -> bool:
        return any(map(remembers, self.paths.values()))

    def is_what_was_applied(self, history: Sequence[HistoryRow]) -> bool:
        """Whether the files are exactly those of the history. Imports nothing."""
        if {row.name for row in history} != self.paths.keys():
            return False
        return all(is_same_file(self.paths[row.name], row.checksum) for row in history)

    @cached_property
    def squashed(self) -> tuple[Squashed, ...]:
        """The squashed migrations. Imports nothing."""
        return tuple(filter(None, map(read_squashed, self.paths.values())))

    @cached_property
    def scripts(self) -> "tuple[Script, ...]":
        """Every file, imported and checked on its own, in order of its name.

        Raises:
            ActionableError: a file cannot be read or imported, or a part of it is missing.
        """
        names = self._written  # looked at before the files are imported
        return tuple(_load(self.paths[name]) for name in names)

    @cached_property
    def directory(self) -> "ScriptDirectory":
        """Alembic's view of the folder, with every file at its position in the chain.

        Raises:
            ActionableError: revision-taken, parent-missing, no-chain, and those of ``scripts``.
        """
        from .alembic_bridge import NO_CHAIN, make_directory

        _check_unique(self.scripts)
        _check_parents(self.scripts)
        try:
            return make_directory(self.config, self.scripts)
        except NO_CHAIN as error:
            raise errors.no_chain(error, self.config.versions) from error

    @cached_property
    def chain(self) -> "tuple[Script, ...]":
        """All migrations, in the order in which they run.

        Raises:
            ActionableError: as for ``directory``.
        """
        return tuple(self.directory.walk_revisions())[::-1]

    @property
    def heads(self) -> "list[Script]":
        """The migrations without a successor: one, or several before a merge."""
        return [script for script in self.chain if script.revision in self.directory.get_heads()]

    def check_one_head(self) -> None:
        """Refuse a folder with several heads.

        Raises:
            ActionableError: multiple-heads.
        """
        if len(self.heads) > 1:
            raise errors.multiple_heads(sorted(map(name_of, self.heads)))


def name_of(script: "Script") -> str:
    """The file's name without ``.py``, which people see."""
    return Path(script.path).stem


def phase_of(script: "Script") -> str:
    """``expand``, ``backfill`` or ``contract``."""
    return str(getattr(script.module, "phase", DEFAULT_PHASE))


def fills_tenants(script: "Script") -> bool:
    """Whether it declares a backfill of tenants' schemas."""
    return bool(backfill_of(script.module)) and getattr(script.module, "schemas", "") != "shared"


def parents(script: "Script") -> tuple[str, ...]:
    """The revisions that must be applied before it."""
    from .alembic_bridge import prerequisites

    return prerequisites(script)


def has_changed(row: HistoryRow, script: "Script") -> bool:
    """Whether the file's code has changed since it was applied."""
    return not does_the_same(Path(script.path), row.checksum)


def as_slug(name: str) -> str:
    """``name`` in lower case, with underscores for spaces and hyphens."""
    return re.sub(r"[\s_-]+", "_", name.strip()).lower()


def file_name(name: str, kind: str = "migration") -> str:
    """``name`` as part of a file name: lower case, underscores for spaces and hyphens.

    Raises:
        ActionableError: name-unusable.
    """
    slug = as_slug(name)
    if _NAME.match(slug) and len(slug) <= NAME_LENGTH:
        return slug
    raise errors.name_unusable(name, kind, NAME_LENGTH)


def is_called(script: "Script", name: str) -> bool:
    """Whether ``name`` is the script's file name, its revision or the name given to ``make``."""
    stem = name_of(script)
    typed = _FILE_NAME.match(stem)
    if typed and as_slug(name) == typed["typed"]:
        return True
    return name in {stem, f"{stem}.py", script.revision}


def runs_in_transaction(module: Any) -> bool:
    """Whether a migration's body runs in a transaction: it has no ``transaction = False``."""
    return getattr(module, "transaction", True) is not False


def runs_alone(script: "Script") -> bool:
    """Whether the migration cannot share a transaction with others.

    It has ``transaction = False``, or leaves its transaction by Alembic's ``autocommit_block``,
    which commits everything before it.
    """
    if not runs_in_transaction(script.module):
        return True
    text = Path(script.path).read_bytes()
    return b"autocommit_block" in text and any(
        isinstance(node, ast.Attribute) and node.attr == "autocommit_block"
        for node in ast.walk(ast.parse(text))
    )


def honour_attributes(module: Any) -> None:
    """Apply the module attributes of a migration.

    ``transaction = False`` runs it outside a transaction; ``schemas`` names the schemas of a
    multi-tenant service in which it runs (:meth:`Scope.runs`).
    """
    for name in ("upgrade", "downgrade"):
        body = with_progress(module, name, getattr(module, name))
        setattr(module, name, _as_declared(module, body))


def _as_declared(module: Any, body: Callable[..., None]) -> Callable[..., None]:
    def run(**arguments: Any) -> None:
        from .alembic_bridge import current_scope, outside_transaction

        # Every schema has the whole chain of revisions, so that a revision means the same
        # everywhere; in other schemas the body is skipped.
        if not current_scope().runs(getattr(module, "schemas", None)):
            return
        with nullcontext() if runs_in_transaction(module) else outside_transaction():
            body(**arguments)

    return run


def _time_and_size(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size


def _load(path: Path) -> "Script":
    from .alembic_bridge import NO_CHAIN, import_file, make_script

    try:
        path.read_text(encoding="utf-8")
        module = import_file(path)
    except (OSError, UnicodeError) as error:
        raise errors.file_unreadable(path, error) from error
    except (Exception, SystemExit) as error:
        raise errors.file_does_not_import(path, error) from error
    _check_module(path, module)
    honour_attributes(module)
    try:
        return make_script(module, path)
    except NO_CHAIN as error:
        raise errors.no_chain(error, path.parent) from error


def _check_module(path: Path, module: ModuleType) -> None:
    for attribute in ("revision", "down_revision", "upgrade", "downgrade"):
        if not hasattr(module, attribute):
            raise errors.attribute_missing(path, attribute)
    for name in ("upgrade", "downgrade"):
        body = getattr(module, name)
        if not callable(body) or any(is_so(body) for is_so in _NOT_PLAIN):
            raise errors.body_is_not_plain(path, name)
    revision = module.revision
    if not isinstance(revision, str) or not 0 < len(revision) <= REVISION_LENGTH:
        raise errors.revision_unusable(path, revision, REVISION_LENGTH)
    if hasattr(module, "replaces") and read_squashed(path) is None:
        written = f"replaces = (…, {revision!r})"
        raise errors.attribute_unknown(path, "replaces", module.replaces, written)
    for attribute, known in _KNOWN.items():
        value = getattr(module, attribute, known[0])
        if value not in known:
            written = " or ".join(f"{attribute} = {one!r}" for one in known)
            raise errors.attribute_unknown(path, attribute, value, written)
    check_backfill(path, module)


def _check_unique(scripts: "Sequence[Script]") -> None:
    seen: dict[str, Script] = {}
    for script in scripts:
        if other := seen.get(script.revision):
            names = name_of(other), name_of(script)
            raise errors.revision_taken(*names, script.revision, Path(script.path))
        seen[script.revision] = script


def _check_parents(scripts: "Sequence[Script]") -> None:
    from .alembic_bridge import parents

    known = {script.revision for script in scripts}
    for script in scripts:
        known |= script.branch_labels
    for script in scripts:
        for attribute in ("down_revision", "depends_on"):
            for parent in parents(script.module, attribute):
                if parent not in known:
                    name, folder = name_of(script), Path(script.path).parent
                    raise errors.parent_missing(name, attribute, parent, folder)
