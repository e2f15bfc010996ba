"""Compares any two schemas, and maintains the committed files of the migrations' schema."""

from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Engine

from .. import errors
from ..backends import backend
from ..config import MigrationConfig, default_config
from ..drift import Difference, Snapshot, compare
from ..snapshots import snapshot_schema
from .chain import chain_snapshot, models_snapshot

Connect = Callable[[str], Engine]


def diff_schemas(
    first: str,
    second: str,
    *,
    engine: Engine,
    connect: Connect,
    config: MigrationConfig | None = None,
) -> list[Difference]:
    """The differences of the second schema from the first.

    Each is ``models``, ``chain`` (what the migrations make), a database URL, a file of
    ``migrate snapshot`` or, in a multi-tenant service, ``tenant:ID``. With ``tenant:ID`` the other
    side is a tenant's schema too; otherwise it is ``public``.

    Args:
        engine: the service's database; scratch databases are created on its server.
        connect: returns an engine for a URL.

    Raises:
        ActionableError: side-unknown, not-comparable, no-scratch-database, or a database does not
            answer.
    """
    config = config or default_config()
    named = {name: config.scope.find(name) for name in (first, second)}
    usual = next(filter(None, named.values()), config.scope)
    expected, found = (
        _read_tenant(name, engine, replace(config, scope=scope))
        if scope
        else _read(name, engine, connect, replace(config, scope=usual))
        for name, scope in ((name, named[name]) for name in (first, second))
    )
    try:
        return compare(expected, found, expected_by=f"the definitions in {first}")
    except ValueError as error:
        raise errors.not_comparable(error) from error


def _read_tenant(name: str, engine: Engine, config: MigrationConfig) -> Snapshot:
    found = snapshot_schema(engine, config=config)
    if not found.items:
        raise errors.side_unknown(name, LookupError("its schema is missing or empty"))
    return found


def _read(name: str, engine: Engine, connect: Connect, config: MigrationConfig) -> Snapshot:
    if name == "models":
        return models_snapshot(engine, config)
    if name == "chain":
        return chain_snapshot(engine, config)
    try:
        if "://" not in name:
            return Snapshot.from_text(_text_of(Path(name).read_bytes()))
        backend.snapshot.look_for(name)
    except (OSError, ValueError) as error:
        raise errors.side_unknown(name, error) from error
    return _read_other(connect(name), config)


def _text_of(content: bytes) -> str:
    """The text of a file; PowerShell's ``>`` writes UTF-16."""
    return content.decode("utf-16" if content[:2] in (BOM_UTF16_LE, BOM_UTF16_BE) else "utf-8-sig")


def _read_other(engine: Engine, config: MigrationConfig) -> Snapshot:
    try:
        return snapshot_schema(engine, config=config)
    finally:
        engine.dispose()


# -- The committed files ---------------------------------------------------------------------------


def read_schema_files(
    engine: Engine, *, config: MigrationConfig | None = None
) -> dict[Path, Snapshot]:
    """The path of each committed schema file, with the schema that the migrations make.

    Raises:
        ActionableError: no-scratch-database, or a migration does not run on an empty database.
    """
    config = config or default_config()
    return {
        config.directory / f"schema.{scope.kind or backend.DIALECT}.txt": chain_snapshot(
            engine, replace(config, scope=scope)
        )
        for scope in config.scope.kinds()
    }


def write_schema_files(engine: Engine, *, config: MigrationConfig | None = None) -> list[Path]:
    """Update the existing files; return the paths of those that changed.

    A file from another major version of the database is not changed.

    Raises:
        ActionableError: as above.
    """
    config = config or default_config()
    if not any(config.directory.glob("schema.*.txt")):
        return []
    written = []
    for path, snapshot in read_schema_files(engine, config=config).items():
        text = path.read_text(encoding="utf-8") if path.exists() else None
        if text is None or text == snapshot.to_text() or not _is_of(text, snapshot.database):
            continue
        path.write_text(snapshot.to_text(), encoding="utf-8", newline="\n")
        written.append(path)
    return written


def _is_of(text: str, database: str) -> bool:
    try:
        return Snapshot.from_text(text).database == database
    except ValueError:
        return True  # not a valid snapshot: a merge may have left its marks
