"""Writes new migration files."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine

from .. import errors
from ..config import MigrationConfig, default_config
from ..folder import BACKFILL, NAME_LENGTH, PHASES, Folder, file_name, name_of
from ..history import DEFAULT_PHASE
from ..plan import make_plan, read_state
from ..results import NewMigration
from ..snapshots import other_tools

if TYPE_CHECKING:
    from alembic.script import Script

    from .difference import Draft

ROOM = NAME_LENGTH - len("_online")
_MOMENT = "%Y%m%d%H%M%S"


def make_migration(
    engine: Engine,
    name: str,
    *,
    empty: bool = False,
    merge: bool = False,
    plain: bool = False,
    phase: str = DEFAULT_PHASE,
    config: MigrationConfig | None = None,
) -> NewMigration:
    """Write a migration file with the difference between the models and the database.

    It follows the last one.

    Args:
        empty: leave it blank.
        merge: join all heads instead of following the only one.
        plain: write what Alembic generates. Otherwise the file is safe for a live site: operations
            that block others run outside a transaction, in a separate file.
        phase: ``expand``, ``backfill``, which also writes an example to change, or ``contract``.

    Raises:
        ActionableError: the phase or the name is invalid, the folder has errors, or the
            database does not answer or is behind. Then no file was written.
    """
    config = config or default_config()
    slug = file_name(name)
    if phase not in PHASES:
        raise errors.phase_unknown(phase, PHASES)
    folder = Folder(config)
    if not merge:
        folder.check_one_head()
    elif len(folder.heads) < 2:
        raise errors.nothing_to_merge(slug)
    draft = None if empty or merge else _draft(engine, config, folder, plain=plain)
    files = list(draft.files) if draft else [{}]
    if phase == BACKFILL:
        engine_name = __package__.removesuffix(".writing")
        files[-1] = {"backfill": _example(config), "engine": engine_name, **files[-1]}
    first, *rest = ({"phase": phase, **values} for values in files)
    written = _write(folder, slug, first)
    second = _write(Folder(config), f"{slug[:ROOM]}_online", rest[0]) if rest else None
    found = draft.differences if draft else ()
    is_blank = draft and not found and phase != BACKFILL
    return NewMigration(
        Path(written.path),
        written.revision,
        found,
        "the models and the database do not differ" if is_blank else None,
        Path(second.path) if second else None,
        other_tools(engine, config) if draft else {},
    )


def _write(folder: Folder, slug: str, values: dict[str, Any]) -> "Script":
    script = folder.directory.generate_revision(
        _next_revision(folder),
        slug,
        head=folder.directory.get_heads() or "head",
        schemas=folder.config.scope.schemas,
        **values,
    )
    assert script is not None
    format_file(Path(script.path))
    return script


def _example(config: MigrationConfig) -> str:
    """An example of a backfill that runs and changes no value, if the models have a table."""
    for table in config.scope.tables(config.load_metadata()).tables.values():
        keys = [column.name for column in table.primary_key]
        empty = [column.name for column in table.columns if column.nullable]
        if len(keys) == 1 and empty:
            key = f", key={keys[0]!r}" if keys != ["id"] else ""
            where = f'"{empty[0]}" IS NULL'
            values = dict.fromkeys(empty[:1], f'"{empty[0]}"')
            return f"Backfill(table={table.name!r}, set={values!r}, where={where!r}{key})"
    return 'Backfill(table="users", set={"full_name": "name"}, where="full_name IS NULL")'


def _draft(engine: Engine, config: MigrationConfig, folder: Folder, *, plain: bool) -> "Draft":
    from .difference import draft_migration

    if pending := make_plan(folder, read_state(engine, config)).pending:
        raise errors.database_behind([name_of(script) for script in pending])
    return draft_migration(engine, config, folder, plain=plain)


def _next_revision(folder: Folder) -> str:
    """The current second, or the one after the newest file's, so that files sort in run order."""
    moments = [moment for script in folder.scripts if (moment := _moment(script.revision))]
    newest = max(moments, default=datetime.min.replace(tzinfo=UTC))
    return f"{max(datetime.now(UTC), newest + timedelta(seconds=1)):{_MOMENT}}"


def _moment(revision: str) -> datetime | None:
    """The time in a revision, if it is one."""
    try:
        return datetime.strptime(revision, _MOMENT).replace(tzinfo=UTC)
    except ValueError:
        return None


def format_file(path: Path) -> None:
    """Format a file with ruff, if it is installed."""
    # Ruff is a development package; without it the file is correct but less tidy.
    if find_spec("ruff") is not None:
        command = [sys.executable, "-m", "ruff", "format", "--quiet", str(path)]
        subprocess.run(command, check=False)
