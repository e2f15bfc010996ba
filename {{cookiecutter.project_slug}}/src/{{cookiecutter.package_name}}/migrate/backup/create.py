"""Makes backups, lists them, and deletes old ones."""

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from ...errors import ActionableError
from ..backends import backend
from ..backends.common import check_engine
from ..config import MigrationConfig
from ..drift import read_fingerprints
from ..history import read_heads
from .layout import Part
from .manifest import SUFFIX, Manifest, SavedFile, read_manifests
from .options import BackupOptions
from .retention import superfluous
from .store import Store

WORKERS = 4  # files that are written at the same time
CHUNK_BYTES = 1 << 20
_TIME = r"-\d{8}-\d{6}-\d{6}"


def create_backup(
    engine: Engine,
    config: MigrationConfig,
    options: BackupOptions,
    schemas: Sequence[str] | None = None,
    target: str | None = None,
) -> Manifest | None:
    """Save the database, or some tenants' schemas, all from the same moment.

    Args:
        schemas: the schemas to save; None saves the whole database.
        target: the revision that the next run will reach, "" for none; None without a run.

    Returns:
        The backup; None if none of the schemas exists.

    Raises:
        ActionableError: no new enough client, a full disk, a folder without write permission, a
            database that does not answer. Then no partial backup is left.
    """
    check_engine(engine, backend.DIALECT, backend.DRIVER)
    try:
        with backend.backup.Dump(engine, options.client) as dump:
            manifest = _Creation(dump, config, options, target).run(schemas)
    except SQLAlchemyError as error:
        raise backend.explain(engine, error) from error
    for old in superfluous(list_backups(config, options), options.keep):
        config.observer.step_started(f"Removing {old.name}")
        old.remove(options.store)
    return manifest


def list_backups(
    config: MigrationConfig,
    options: BackupOptions,
    on_unreadable: Callable[[ActionableError], object] = lambda _: None,
) -> list[Manifest]:
    """The service's own backups, newest first.

    Args:
        on_unreadable: called with the error of a manifest that cannot be read; it is left out.

    Raises:
        ActionableError: backup-not-read, of the folder.
    """
    pattern = re.compile(re.escape(_prefix(config)) + _TIME + re.escape(SUFFIX))
    names = [name.removesuffix(SUFFIX) for name in options.store.list() if pattern.fullmatch(name)]
    return read_manifests(options.store, names, on_unreadable)


def checksum_of(store: Store, name: str) -> tuple[int, str]:
    """Size in bytes and SHA-256 of a file in the store."""
    digest, size = hashlib.sha256(), 0
    with store.open(name) as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def _prefix(config: MigrationConfig) -> str:
    return config.service or "backup"


class _Creation:
    """The creation of one backup."""

    def __init__(
        self,
        dump: "backend.backup.Dump",
        config: MigrationConfig,
        options: BackupOptions,
        target: str | None,
    ) -> None:
        self.dump = dump
        self.config = config
        self.store = options.store
        self.layout = options.layout
        self.target = target
        self.created_at = datetime.now(UTC)
        self.name = f"{_prefix(config)}{self.created_at:-%Y%m%d-%H%M%S-%f}"
        self.manifest: Manifest | None = None
        self.written: list[str] = []

    def run(self, schemas: Sequence[str] | None) -> Manifest | None:
        began = time.perf_counter()
        with self.dump.connection() as connection:
            parts = self.layout.parts(connection, schemas)
        if not parts:
            return None
        try:
            files = self._write_all(parts, whole=schemas is None)
            assert self.manifest is not None
            manifest = replace(
                self.manifest,
                duration=round(time.perf_counter() - began, 3),
                size=sum(file.size for file in files),
                files=tuple(files),
            )
            manifest.save(self.store)
        except BaseException:
            for name in self.written:
                with suppress(ActionableError):
                    self.store.delete(name)
            raise
        return manifest

    def _write_all(self, parts: Sequence[Part], *, whole: bool) -> list[SavedFile]:
        def describe(path: Path) -> None:
            with self.dump.connection(path) as connection:
                self.manifest = self._describe(connection, parts, whole=whole)

        # The first file is written alone, so that a lack of space is found at once.
        first, *others = parts
        files = [self._write(first, describe, needed=self.dump.size())]
        with ThreadPoolExecutor(WORKERS) as threads:
            jobs = [threads.submit(self._write, part) for part in others]
            try:
                files += [job.result() for job in jobs]
            except BaseException:
                threads.shutdown(cancel_futures=True)
                raise
        return files

    def _write(
        self, part: Part, describe: Callable[[Path], None] = lambda _: None, *, needed: int = 0
    ) -> SavedFile:
        name = ".".join(filter(None, (self.name, part.name))) + self.dump.SUFFIX
        self.config.observer.step_started(f"Writing {name}")

        def write(path: Path) -> None:
            self.dump.write(path, part.schemas, part.without)
            describe(path)

        self.written.append(name)
        self.store.put(name, write, needed=needed)
        schema = part.schemas[0] if len(part.schemas) == 1 else None
        return SavedFile(part.name, schema, name, *checksum_of(self.store, name))

    def _describe(self, connection: Connection, parts: Sequence[Part], *, whole: bool) -> Manifest:
        """The manifest of the connection's snapshot, without the files."""
        facts = describe_schema(connection, self.config)
        return Manifest(
            name=self.name,
            service=self.config.service,
            version=self.config.load_release(),
            database=facts.database,
            revision=facts.revision,
            fingerprint=facts.fingerprint,
            whole=whole,
            target=self.target,
            created_at=self.created_at,
            duration=0.0,
            size=0,
            files=(),
            needs=backend.backup.needs(connection),
            tenants=self.layout.tenants(connection, parts),
        )


class SchemaFacts(NamedTuple):
    """Facts to compare the service's schema with the saved one."""

    database: str
    revision: str | None
    fingerprint: str


def describe_schema(connection: Connection, config: MigrationConfig) -> SchemaFacts:
    """The facts of the service's schema on this connection."""
    config.scope.enter(connection)
    schema = backend.backup.current_schema(connection)
    return SchemaFacts(
        backend.snapshot.version(connection),
        ", ".join(sorted(read_heads(connection, config) or ())) or None,
        read_fingerprints(connection, [schema]).get(schema, ""),
    )
