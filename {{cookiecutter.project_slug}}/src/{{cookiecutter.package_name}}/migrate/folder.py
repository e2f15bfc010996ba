"""The folder of migration files, checked whole before anything of it runs."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .config import MigrationConfig
from .history import REVISION_LENGTH, checksum
from .results import MigrationError, cause

if TYPE_CHECKING:
    from alembic.script import Script, ScriptDirectory

# 001_create_users_table, 20261122213000_add_avatar: digits, then the name typed at "make".
_FILE_NAME = re.compile(r"^\d+_(?P<typed>.+)$")


def migration_files(config: MigrationConfig) -> list[Path]:
    """The migration files, sorted by name."""
    return sorted(path for path in config.versions.glob("*.py") if path.name[0] not in "._")


def checksums(config: MigrationConfig) -> dict[str, str]:
    """Checksum by name of every file; imports nothing."""
    return {path.stem: checksum(path) for path in migration_files(config)}


def load_scripts(config: MigrationConfig) -> "ScriptDirectory":
    """Alembic's view of the folder, every file imported and in its place in the chain.

    Raises:
        MigrationError: a file does not import, lacks ``revision``, ``upgrade`` or ``downgrade``,
            has another's revision, or follows a file that is not there.
    """
    from alembic.script import ScriptDirectory
    from alembic.script.revision import RevisionError, RevisionMap

    directory = ScriptDirectory(
        config.directory,
        file_template="%(rev)s_%(slug)s",
        truncate_slug_length=255,
        messaging_opts={"quiet": True},
    )
    try:
        scripts = [_load(path) for path in migration_files(config)]
        _check_chain(scripts)
        directory.revision_map = RevisionMap(lambda: scripts)
        directory.get_heads()
    except RevisionError as error:
        raise MigrationError(
            f"The migration files form no chain: {error}",
            "Nothing was run.",
            f"Correct the down_revision lines in {config.versions}",
        ) from error
    return directory


def ordered(scripts: "ScriptDirectory") -> "list[Script]":
    """All migrations, first to run first."""
    return list(scripts.walk_revisions())[::-1]


def name_of(script: "Script") -> str:
    """The file's name without ``.py``: what people see."""
    return Path(script.path).stem


def parents(script: "Script") -> tuple[str, ...]:
    """The revisions that it follows: one, several after a merge, none at the base."""
    from alembic.util import to_tuple

    followed: tuple[str, ...] = to_tuple(script.down_revision, default=())
    return followed


def as_slug(name: str) -> str:
    """``name`` in lower case, with underscores for spaces and hyphens."""
    return re.sub(r"[\s_-]+", "_", name.strip()).lower()


def is_called(script: "Script", name: str) -> bool:
    """Whether ``name`` is the script's file name, its revision or the name typed at ``make``."""
    stem = name_of(script)
    typed = _FILE_NAME.match(stem)
    if typed and as_slug(name) == typed["typed"]:
        return True
    return name in {stem, f"{stem}.py", script.revision}


def runs_alone(script: "Script") -> bool:
    """Whether the migration cannot share a transaction with others."""
    if getattr(script.module, "transaction", True) is False:
        return True
    # Alembic's own way of leaving the transaction commits what ran before it.
    return "autocommit_block" in Path(script.path).read_text(encoding="utf-8")


def check_one_head(scripts: "ScriptDirectory") -> None:
    """Refuse a folder in which two migrations are the last one.

    Raises:
        MigrationError: with both names and the command that joins them.
    """
    heads = sorted(name_of(scripts.get_revision(head)) for head in scripts.get_heads())
    if len(heads) > 1:
        raise MigrationError(
            f"{len(heads)} migrations claim to be the last one: {', '.join(heads)}",
            "Nothing was run: which of them comes first is not said.",
            "Join them: migrate make --merge NAME",
        )


def _load(path: Path) -> "Script":
    from alembic.script import Script
    from alembic.util import load_python_file

    try:
        module = load_python_file(path.parent, path.name)
    except Exception as error:
        raise MigrationError(
            f"{path.name} does not import: {cause(error)}",
            "Nothing was run.",
            f"Correct {path}",
        ) from error
    for attribute in ("revision", "down_revision", "upgrade", "downgrade"):
        if not hasattr(module, attribute):
            raise MigrationError(
                f"{path.name} has no {attribute}.",
                "Nothing was run: a migration that cannot be undone or placed is half a migration.",
                f"Add {attribute} to {path}",
            )
    if not isinstance(module.revision, str) or not 0 < len(module.revision) <= REVISION_LENGTH:
        raise MigrationError(
            f"{path.name} has the revision {module.revision!r}, too long for version_num or no text.",
            "Nothing was run: alembic_version could not hold it.",
            f"Use the number that the file's name starts with; {REVISION_LENGTH} characters at most.",
        )
    honour_attributes(module)
    return Script(module, module.revision, str(path))


def honour_attributes(module: Any) -> None:
    """Make a migration run as its module attributes say.

    ``transaction = False`` runs it outside a transaction; ``schemas`` says for which schemas of a
    multi-tenant service it is (:meth:`Scope.runs`).
    """
    for name in ("upgrade", "downgrade"):
        body = getattr(module, name)
        if getattr(module, "transaction", True) is False:
            body = _outside_transaction(body)
        setattr(module, name, _where_it_belongs(body, getattr(module, "schemas", None)))


def _where_it_belongs(body: Callable[..., None], schemas: str | None) -> Callable[..., None]:
    # Every schema carries the whole chain of revisions, so that a revision means the same
    # everywhere; a body that is not for a schema is stepped over there.
    def run(**arguments: Any) -> None:
        from alembic import op

        if op.get_context().opts["scope"].runs(schemas):
            body(**arguments)

    return run


def _outside_transaction(body: Callable[..., None]) -> Callable[..., None]:
    # Each statement is committed by itself, as CREATE INDEX CONCURRENTLY needs.
    def run(**arguments: Any) -> None:
        from alembic import op

        with op.get_context().autocommit_block():
            body(**arguments)

    return run


def _check_chain(scripts: "list[Script]") -> None:
    seen: dict[str, Script] = {}
    for script in scripts:
        if script.revision in seen:
            raise MigrationError(
                f"{name_of(seen[script.revision])} and {name_of(script)} have the same revision "
                f"{script.revision!r}.",
                "Nothing was run.",
                f"Give one of them another revision: {script.path}",
            )
        seen[script.revision] = script
    for script in scripts:
        for parent in parents(script):
            if parent not in seen:
                raise MigrationError(
                    f"{name_of(script)} follows revision {parent!r}, which no file has.",
                    "Nothing was run: what the missing migration does is not known.",
                    f"Restore the missing file in {Path(script.path).parent}",
                )
