"""The manifest of a backup: its content, and the data to check that it is complete."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ...errors import ActionableError
from . import errors
from .layout import TenantFacts
from .store import Store

FORMAT = 1
SUFFIX = ".json"


@dataclass(frozen=True)
class SavedFile:
    """A file of a backup.

    Attributes:
        part: name of its part.
        schema: its only schema; None if it has several.
        size: bytes.
        checksum: SHA-256.
    """

    part: str
    schema: str | None
    name: str
    size: int
    checksum: str


@dataclass(frozen=True)
class Manifest:
    """The content of a backup.

    Attributes:
        service: the service that made it; ``version``: its version.
        database: kind and major version of the database.
        revision: the newest applied migration.
        fingerprint: of the service's schema, computed by ``migrate/drift``.
        whole: whether it contains the whole database, not only some tenants.
        created_at: in UTC. duration: seconds. size: bytes, of all files.
        needs: the backend's requirements of the database before the files are loaded.
        tenants: the tenants in it, by id.
        target: the revision that the run after it was to reach, "" for none; None without a run.
    """

    name: str
    service: str
    version: str | None
    database: str
    revision: str | None
    fingerprint: str
    whole: bool
    created_at: datetime
    duration: float
    size: int
    files: tuple[SavedFile, ...]
    needs: dict[str, Any] = field(default_factory=dict)
    tenants: dict[str, TenantFacts] = field(default_factory=dict)
    target: str | None = None  # older manifests do not have it

    def as_dict(self) -> dict[str, Any]:
        """The manifest as JSON."""
        return asdict(self) | {"created_at": self.created_at.isoformat(), "format": FORMAT}

    def save(self, store: Store) -> None:
        """Write the manifest. This completes the backup."""
        text = json.dumps(self.as_dict(), indent=2, default=str) + "\n"
        store.put(self.name + SUFFIX, lambda path: path.write_text(text, encoding="utf-8"))

    def file_of(self, part: str) -> SavedFile:
        """The file of a part."""
        return next(file for file in self.files if file.part == part)

    def remove(self, store: Store) -> None:
        """Remove the backup: the manifest first, so that no manifest is left without files."""
        store.delete(self.name + SUFFIX)
        for file in self.files:
            store.delete(file.name)


def read_manifest(store: Store, name: str) -> Manifest:
    """The manifest of a backup.

    Raises:
        ActionableError: no-such-backup, backup-manifest-unreadable, backup-not-read.
    """
    if name + SUFFIX not in store.list():
        raise errors.no_such_backup(name)
    with store.open(name + SUFFIX) as file:
        text = file.read()
    try:
        return _parse(json.loads(text))
    except (ValueError, KeyError, TypeError) as error:
        raise errors.manifest_unreadable(name, error) from error


def read_manifests(
    store: Store, names: Iterable[str], on_unreadable: Callable[[ActionableError], object]
) -> list[Manifest]:
    """The manifests of several backups, newest first."""
    manifests = []
    for name in names:
        try:
            manifests.append(read_manifest(store, name))
        except ActionableError as error:
            on_unreadable(error)
    return sorted(manifests, key=lambda manifest: manifest.created_at, reverse=True)


def _parse(values: dict[str, Any]) -> Manifest:
    if (written := values.pop("format")) != FORMAT:
        raise ValueError(f"its format is {written}, but this version knows only {FORMAT}")
    values["created_at"] = datetime.fromisoformat(values["created_at"])
    values["files"] = tuple(SavedFile(**file) for file in values["files"])
    values["tenants"] = {i: TenantFacts(**facts) for i, facts in values["tenants"].items()}
    names = [values["name"], *(file.name for file in values["files"])]
    if any(Path(name).name != name for name in names):
        raise ValueError("it names a file outside its folder")
    return Manifest(**values)
