"""Writes one migration that replaces the first ones of the chain.

It is tried before anything changes: in scratch databases it must make the same schema, and
the later migrations must run on it.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from ...errors import ActionableError
from ...words import count
from .. import errors
from ..backends import backend
from ..backends.common import check_engine
from ..checks.chain import chain_applied
from ..config import MigrationConfig, default_config
from ..drift import Difference, Snapshot, compare, take_snapshot
from ..events import Silent
from ..folder import BACKFILL, Folder, name_of, parents, phase_of
from ..plan import find
from ..runner import upgrade
from ..scope import Scope
from ..select import all_pending
from ..snapshots import schema_name
from .make import format_file

if TYPE_CHECKING:
    from alembic.script import Script

_FIRST_WORD = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(\w+)", re.DOTALL)
_DEFINES = {"alter", "comment", "create", "do", "drop", "grant", "import", "refresh", "revoke"}
_ROWS = {"copy", "delete", "insert", "merge", "replace", "truncate", "update", "with"}

_FILE = '''"""Squashed: makes the schema that {first} to {last} made.

{replaced} are replaced. A database that has them all records this file without running it:

{names}

{rows}
"""

import sqlalchemy as sa
from alembic import op

revision = {revision!r}
down_revision = None
branch_labels = None
depends_on = None
replaces = {replaces!r}
{schemas}

def upgrade() -> None:
    {upgrade}


def downgrade() -> None:
    raise NotImplementedError("The chain begins here: nothing undoes a squashed migration.")
'''

# In a multi-tenant service each kind of schema has its own part.
_FOR_ALL = 'schemas = "all"\n'


@dataclass(frozen=True)
class _Made:
    """The effect of the replaced migrations on one kind of schema.

    Attributes:
        scope: a schema of this kind.
        statements: the statements that create it.
        with_rows: names of migrations that wrote rows, or may have.
        snapshots: the schema that they make, and that of the whole chain.
    """

    scope: Scope
    statements: list[str]
    with_rows: set[str]
    snapshots: tuple[Snapshot, Snapshot]


@dataclass(frozen=True)
class SquashResult:
    """The result of a squash.

    Attributes:
        path: the new file.
        replaced: names of the removed files.
        with_rows: those of them that wrote rows, or may have: the new file writes none.
        differences: between the schema of the new file and theirs.
        error: why nothing could be tried.
    """

    path: Path | None = None
    replaced: tuple[str, ...] = ()
    with_rows: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    error: ActionableError | None = None

    @property
    def success(self) -> bool:
        """Whether it was written."""
        return self.path is not None


def squash_migrations(
    engine: Engine, name: str, *, config: MigrationConfig | None = None
) -> SquashResult:
    """Write one migration that replaces those up to ``name``, and remove their files.

    It keeps the revision of the last one, so later files do not change. The service's own
    database is not touched. In a multi-tenant service it makes both kinds of schema.

    Args:
        name: the last migration to replace: file name, revision or the name given to ``make``.
    """
    config = config or default_config()
    try:
        check_engine(engine, backend.DIALECT, backend.DRIVER)
        folder = Folder(config)
        replaced = _to_be_replaced(folder, name)
        return _squash(engine, config, folder, replaced)
    except ActionableError as error:
        return SquashResult(error=error)
    except SQLAlchemyError as error:
        return SquashResult(error=backend.explain(engine, error))


def _to_be_replaced(folder: Folder, name: str) -> "tuple[Script, ...]":
    folder.check_one_head()
    chain = folder.chain
    last = find(chain, name)
    number = chain.index(last) + 1
    _check_linear(chain, number)
    if number < 2:
        raise errors.squash_nothing(name_of(last))
    _check_committed([Path(script.path) for script in chain[:number]])
    return chain[:number]


def _check_linear(chain: "Sequence[Script]", number: int) -> None:
    last = chain[number - 1]
    for before, script in zip((None, *chain), chain[:number], strict=False):
        if parents(script) != ((before.revision,) if before else ()):
            raise errors.squash_not_linear(
                name_of(last), f"{name_of(script)} does not just follow the one before it"
            )
        if script.branch_labels:
            raise errors.squash_not_linear(name_of(last), f"{name_of(script)} has a branch label")
    hidden = {script.revision for script in chain[: number - 1]}
    for script in chain[number:]:
        if hidden.intersection(parents(script)):
            raise errors.squash_not_linear(
                name_of(last), f"{name_of(script)} follows one of those before it"
            )


def _check_committed(paths: Sequence[Path]) -> None:
    unsafe = [path.name for path in paths if not _git_has(path)]
    if unsafe:
        raise errors.squash_not_committed(unsafe)


def _git_has(path: Path) -> bool:
    """Whether git has the current content of the file."""
    command = ["git", "-C", str(path.parent), "diff", "--quiet", "HEAD", "--", path.name]
    tracked = ["git", "-C", str(path.parent), "ls-tree", "HEAD", "--", path.name]
    try:
        same = subprocess.run(command, capture_output=True, check=False).returncode == 0
        found = subprocess.run(tracked, capture_output=True, check=False)
    except OSError:
        return False
    return same and found.returncode == 0 and bool(found.stdout.strip())


def _squash(
    engine: Engine, config: MigrationConfig, folder: Folder, replaced: "Sequence[Script]"
) -> SquashResult:
    revisions = {script.revision for script in replaced}
    every = [
        _make(engine, replace(config, scope=scope), revisions) for scope in config.scope.kinds()
    ]
    with_rows = _with_rows(replaced, set().union(*(one.with_rows for one in every)))
    path = config.versions / f"{_number(replaced[-1])}_squashed.py"
    with tempfile.TemporaryDirectory() as trial:
        draft = _write_trial(Path(trial), folder, path.name, replaced, every, with_rows)
        tried = replace(config, directory=Path(trial))
        differences = [found for made in every for found in _try(engine, tried, revisions, made)]
        if differences:
            return SquashResult(with_rows=with_rows, differences=tuple(differences))
        text = draft.read_bytes()
    # The new file may have the name of an old one: then it replaces that file at once.
    path.write_bytes(text)
    removed = [Path(script.path) for script in replaced]
    for old in removed:
        if old != path:
            old.unlink()
    return SquashResult(path, tuple(old.stem for old in removed), with_rows)


def _make(engine: Engine, config: MigrationConfig, replaced: set[str]) -> _Made:
    """Find the effect of the migrations on the configuration's kind of schema.

    Raises:
        ActionableError: squash-names-schema, and those of ``chain_applied``.
    """
    recorder = _Recorder()
    with chain_applied(engine, config, replaced, recorder) as (scratch, applied):
        executed = [one for _, one in recorder.statements if _defines(one)]
        name = applied.scope.name
        if named := next((one for one in executed if name and name in one), None):
            raise errors.squash_names_schema(" ".join(named.split())[:100])
        with backend.reading(scratch) as connection:
            statements = backend.recreate(connection, executed, leaves_out=config.leaves_out)
        return _Made(config.scope, statements, _wrote_rows(recorder), _snapshots(scratch, applied))


def _try(
    engine: Engine, config: MigrationConfig, replaced: set[str], made: _Made
) -> list[Difference]:
    """The differences of the new file's schema, and of the whole chain's schema with it."""
    scoped = replace(config, scope=made.scope)
    try:
        with chain_applied(engine, scoped, replaced) as (scratch, applied):
            found = _snapshots(scratch, applied)
    except ActionableError as error:
        if error.code != "migration-failed":
            raise
        raise errors.squash_does_not_run(error) from error
    pairs = zip(made.snapshots, found, strict=True)
    return next(filter(None, (compare(one, other) for one, other in pairs)), [])


def _snapshots(scratch: Engine, config: MigrationConfig) -> tuple[Snapshot, Snapshot]:
    """The schema now, and after the later migrations."""
    first = _ordered_snapshot(scratch, config)
    for scope in config.scope.scratch_steps():
        upgrade(scratch, replace(config, scope=scope), all_pending).raise_for_error()
    return first, _ordered_snapshot(scratch, config)


def _ordered_snapshot(scratch: Engine, config: MigrationConfig) -> Snapshot:
    with backend.reading(scratch) as connection:
        return take_snapshot(
            connection, schema_name(config), excluded=config.excluded_names, column_order=True
        )


def _write_trial(
    trial: Path,
    folder: Folder,
    name: str,
    replaced: "Sequence[Script]",
    every: Sequence[_Made],
    with_rows: Sequence[str],
) -> Path:
    """The future folder: the new file, and the later ones."""
    versions = trial / "versions"
    versions.mkdir()
    for script in folder.chain[len(replaced) :]:
        shutil.copy(script.path, versions)
    draft = versions / name
    draft.write_text(_text(folder, replaced, every, with_rows), encoding="utf-8", newline="\n")
    format_file(draft)
    return draft


class _Recorder(Silent):
    """Records each statement of a body, with the migration's name."""

    def __init__(self) -> None:
        self.statements: list[tuple[str, str]] = []
        self._name = ""

    def migration_started(self, name: str, *, is_upgrade: bool) -> None:
        self._name = name

    def statement_finished(self, statement: str, seconds: float, rows: int | None) -> None:
        self.statements.append((self._name, statement))


def _defines(statement: str) -> bool:
    """Whether a statement changes the schema and not rows."""
    return _first_word(statement) in _DEFINES


def _first_word(statement: str) -> str:
    found = _FIRST_WORD.match(statement)
    return found[1].lower() if found else ""


def _wrote_rows(recorder: _Recorder) -> set[str]:
    """Names of migrations that wrote rows, or would have if there had been any."""
    return {
        name
        for name, statement in recorder.statements
        if (_first_word(statement) in _ROWS and not backend.copies_rebuilt(statement))
        or backend.reads_rows(statement)
    }


def _with_rows(replaced: "Iterable[Script]", wrote: set[str]) -> tuple[str, ...]:
    """These names in order, with the migrations that only change rows."""
    return tuple(
        name
        for script in replaced
        if (name := name_of(script)) in wrote or phase_of(script) == BACKFILL
    )


# -- The file --------------------------------------------------------------------------------------


def _text(
    folder: Folder,
    replaced: "Sequence[Script]",
    every: Sequence[_Made],
    with_rows: Sequence[str],
) -> str:
    names = list(map(name_of, replaced))
    return _FILE.format(
        first=names[0],
        last=names[-1],
        replaced=count(len(names), "migration").capitalize(),
        names=_listed(names),
        rows=_about_rows(with_rows),
        revision=replaced[-1].revision,
        replaces=_all_replaced(folder, replaced),
        schemas=_FOR_ALL if len(every) > 1 else "",
        upgrade="\n    ".join(_upgrade(every)) or "pass",
    )


def _upgrade(every: Sequence[_Made]) -> Iterator[str]:
    """The lines of the new file's body, not indented."""
    if len(every) == 1:
        yield from map(_executing, every[0].statements)
        return
    yield 'scope = op.get_context().opts["scope"]'
    for made in every:
        yield f'if scope.runs("{made.scope.schemas or made.scope.kind}"):'
        yield from (f"    {line}" for line in map(_executing, made.statements))
        if not made.statements:
            yield "    pass"


def _about_rows(with_rows: Sequence[str]) -> str:
    if not with_rows:
        return "As far as observed, none of them reads or writes rows."
    return (
        "It writes no rows. These migrations read or wrote some; if a new database needs them, "
        f"write\nthem in a migration after this one, or in a seed:\n\n{_listed(with_rows)}"
    )


def _listed(names: Iterable[str]) -> str:
    return "\n".join(f"- {name}" for name in names)


def _all_replaced(folder: Folder, replaced: "Sequence[Script]") -> tuple[str, ...]:
    """Their revisions, and those that one of them already replaces."""
    before = {one.revision: one.replaces for one in folder.squashed}
    return tuple(
        revision
        for script in replaced
        for revision in before.get(script.revision, (script.revision,))
    )


def _number(script: "Script") -> str:
    """The start of the file's name, so that the new file sorts like the old one."""
    return re.split(r"[^0-9A-Za-z]", name_of(script), maxsplit=1)[0]


def _executing(statement: str) -> str:
    return f"op.execute(sa.DDL({_literal(statement)}))"


def _literal(statement: str) -> str:
    """A statement as a Python literal, on several lines if that changes nothing."""
    escaped = statement.strip().replace("%", "%%")  # DDL would format a single %
    plain = escaped.isprintable() or all(line.isprintable() for line in escaped.split("\n"))
    if '"""' in escaped or "\\" in escaped or escaped.endswith('"') or not plain:
        return repr(escaped)
    if "\n" not in escaped:
        return f'"""{escaped}"""' if '"' in escaped and "'" in escaped else repr(escaped)
    return f'"""\n{escaped}\n"""'
