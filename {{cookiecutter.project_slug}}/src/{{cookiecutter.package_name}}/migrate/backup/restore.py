"""Restores a backup into a new database, compares it with the manifest, and swaps the two."""

from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from ..backends import backend
from ..backends.common import check_engine, writing
from ..config import MigrationConfig
from ..events import Observer
from ..lock import migration_lock
from . import errors
from .create import checksum_of, describe_schema
from .manifest import Manifest, SavedFile, read_manifest
from .options import BackupOptions

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Restored:
    """The result of a restore.

    Attributes:
        kept: the name under which the old database is kept; None if there was none.
        is_compared: whether the schema was compared with the manifest. This is not possible
            between two major versions of a database.
    """

    kept: str | None
    is_compared: bool


def restore_backup(
    engine: Engine,
    config: MigrationConfig,
    options: BackupOptions,
    name: str,
) -> Restored:
    """Replace the database by a backup.

    Args:
        engine: the database to replace; it need not exist.
        name: the backup.

    Raises:
        ActionableError: the backup is missing, damaged or partial; instances live, another
            migrator holds the lock, or the database is in use; the restored database differs from
            the saved one. The database is not changed then.
    """
    check_engine(engine, backend.DIALECT, backend.DRIVER)
    manifest = read_own_manifest(config, options, name)
    if not manifest.whole:
        raise errors.partial(name, len(manifest.tenants))
    try:
        with backend.backup.Restore(engine, options.client, datetime.now(UTC)) as restore:
            with ExitStack() as stack:
                if restore.exists:
                    stack.enter_context(left_alone(engine, config))
                with opened(options, manifest, manifest.files, config.observer) as files:
                    config.observer.step_started(f"Restoring {name} into a new database")
                    schemas = [file.schema for file in manifest.files]
                    restore.load(list(zip(files, schemas, strict=True)), manifest.needs)
                config.observer.step_started("Comparing it with the manifest")
                with restore.connection() as connection:
                    is_compared = _compare(connection, config, options, manifest)
            # Not under the lock: its connection would prevent the rename.
            config.observer.step_started("Swapping it with the old one")
            return Restored(restore.swap(), is_compared)
    except SQLAlchemyError as error:
        raise backend.explain(engine, error) from error


def list_kept(engine: Engine) -> list[str]:
    """The names of the old databases that restores have kept, oldest first.

    Raises:
        ActionableError: database-away, database-refuses.
    """
    return list(backend.backup.kept(engine))


def forget_kept(engine: Engine, name: str) -> None:
    """Remove one of :func:`list_kept`.

    Raises:
        ActionableError: database-away, database-refuses.
    """
    backend.backup.forget(engine, name)


def read_own_manifest(config: MigrationConfig, options: BackupOptions, name: str) -> Manifest:
    """The manifest of a backup that this service made.

    Raises:
        ActionableError: no-such-backup, backup-manifest-unreadable, backup-of-another-service.
    """
    manifest = read_manifest(options.store, name)
    # As in the history, "" is not compared.
    if config.service and manifest.service and manifest.service != config.service:
        raise errors.another_services(name, manifest.service)
    return manifest


@contextmanager
def left_alone(engine: Engine, config: MigrationConfig, scope: str = "") -> "Iterator[None]":
    """Make sure that nobody migrates, no instance lives, and none can register.

    Args:
        scope: a tenant's schema, inside a block for the whole database.

    Raises:
        ActionableError: lock-timeout, lock-lost, backup-instances-live.
    """
    with migration_lock(engine, 0, scope) as lock:
        is_closed = bool(scope) or lock.close_gate()
        if not is_closed:
            raise errors.instances_live(1)
        with writing(engine) as connection:
            config.scope.enter(connection)
            number = backend.backup.live_instances(connection)
        if number:
            raise errors.instances_live(number)
        yield


@contextmanager
def opened(
    options: BackupOptions, manifest: Manifest, saved: Sequence[SavedFile], observer: Observer
) -> "Iterator[list[BinaryIO]]":
    """The files of a backup, after a check of their checksums.

    Raises:
        ActionableError: backup-damaged, backup-not-read.
    """
    for file in saved:
        observer.step_started(f"Checking {file.name}")
        if checksum_of(options.store, file.name) != (file.size, file.checksum):
            raise errors.damaged(manifest.name, file.name)
    with ExitStack() as stack:
        yield [stack.enter_context(options.store.open(file.name)) for file in saved]


def _compare(
    connection: Connection, config: MigrationConfig, options: BackupOptions, manifest: Manifest
) -> bool:
    facts = describe_schema(connection, config)
    if facts.revision != manifest.revision:
        raise errors.restored_differs(manifest.name, f"its revision is {facts.revision}")
    if facts.database != manifest.database:
        return False
    if facts.fingerprint != manifest.fingerprint:
        raise errors.restored_differs(manifest.name, "its schema has another fingerprint")
    if others := options.layout.differing(connection, manifest.tenants):
        raise errors.restored_differs(manifest.name, f"the schema of {others[0]} differs")
    return True
