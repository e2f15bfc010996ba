"""Writes new migration files."""

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine

from ..errors import ActionableError
from . import errors
from .backends import backend
from .config import MigrationConfig
from .folder import Folder, file_name
from .plan import make_plan, read_state
from .results import NewMigration

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory


def make_migration(
    engine: Engine, config: MigrationConfig, name: str, *, empty: bool = False, merge: bool = False
) -> NewMigration:
    """Write a migration that follows the last one.

    It is filled in from the difference between models and database.

    Args:
        empty: leave it blank.
        merge: join all heads instead of following the only one.

    Raises:
        ActionableError: the name cannot be a file name, or the folder is not in order.
    """
    slug = file_name(name)
    folder = Folder(config)
    scripts = folder.directory
    if not merge:
        folder.check_one_head()
    elif len(folder.heads) < 2:
        raise errors.nothing_to_merge(slug)
    body: dict[str, Any] = {}
    note = None
    if not empty and not merge:
        body, note = _difference(engine, config, folder)
    script = scripts.generate_revision(
        _next_revision(scripts),
        slug,
        head=scripts.get_heads() or "head",
        schemas=config.scope.schemas,
        **body,
    )
    assert script is not None
    _format(Path(script.path))
    return NewMigration(Path(script.path), script.revision, note)


def _next_revision(scripts: "ScriptDirectory") -> str:
    """The current second, or the one after the newest file's, so that files sort as they run."""
    now = datetime.now(UTC)
    stamps = [s.revision for s in scripts.walk_revisions() if re.fullmatch(r"\d{14}", s.revision)]
    newest = datetime.strptime(max(stamps, default="19700101000000"), "%Y%m%d%H%M%S")
    later = max(now, newest.replace(tzinfo=UTC) + timedelta(seconds=1))
    return f"{later:%Y%m%d%H%M%S}"


def _difference(
    engine: Engine, config: MigrationConfig, folder: Folder
) -> tuple[dict[str, Any], str | None]:
    """Template values for the difference, and why there are none."""
    try:
        if make_plan(folder, read_state(engine, config)).pending:
            return {}, "the database is behind: run migrate latest, then make it again"
    except ActionableError as error:
        return {}, error.problem
    body = _autogenerate(engine, config)
    if "op." not in body["upgrades"]:
        return {}, "the models and the database do not differ"
    return body, None


def _autogenerate(engine: Engine, config: MigrationConfig) -> dict[str, Any]:
    from alembic.autogenerate import produce_migrations, render_python_code
    from alembic.runtime.migration import MigrationContext

    from .alembic_bridge import context_options

    options = context_options(config)
    with backend.reading(engine, config.scope) as connection:
        context = MigrationContext.configure(connection, opts=options)
        found = produce_migrations(context, options["target_metadata"])
    imports: set[str] = set()

    def code(operations: Any) -> str:
        return render_python_code(
            operations,
            render_as_batch=options["render_as_batch"],
            imports=imports,  # type: ignore[arg-type]
            render_item=options["render_item"],
            migration_context=context,
        )

    assert found.upgrade_ops is not None and found.downgrade_ops is not None
    return {
        "upgrades": code(found.upgrade_ops),
        "downgrades": code(found.downgrade_ops),
        "imports": "\n".join(sorted(imports)),
    }


def _format(path: Path) -> None:
    # Ruff is a development package; where it is missing the file is right, only less neat.
    if find_spec("ruff") is not None:
        command = [sys.executable, "-m", "ruff", "format", "--quiet", str(path)]
        subprocess.run(command, check=False)
