"""Errors of backups."""

from pathlib import Path

from ...errors import ActionableError
from ...words import count

NOT_MADE = "No backup was made, and nothing was migrated."
NOT_RESTORED = "Nothing was restored: the database was not changed."


def not_written(path: Path, error: OSError) -> ActionableError:
    """The folder of backups cannot be written: it belongs to another user, or its disk is full.
    Correct its permissions, or name another folder in BACKUP_DIRECTORY.
    """
    return ActionableError(
        "backup-not-written",
        f"{path} cannot be written: {error.strerror or error}",
        NOT_MADE,
        f"Let this user write to {path}, or name another folder: BACKUP_DIRECTORY=…",
    )


def not_read(path: Path, error: OSError) -> ActionableError:
    """A backup, or the folder of backups, cannot be read. Correct its permissions."""
    return ActionableError(
        "backup-not-read",
        f"{path} cannot be read: {error.strerror or error}",
        NOT_RESTORED,
        f"Let this user read {path}, and list the backups again: backup list",
    )


def disk_full(path: Path, needed: int, free: int) -> ActionableError:
    """The disk of BACKUP_DIRECTORY has less space than the database may need. Free space, keep
    fewer backups (BACKUP_KEEP), or name a folder on another disk.
    """
    return ActionableError(
        "backup-disk-full",
        f"A backup may need {needed / 1e6:.1f} MB, and the disk of {path} has {free / 1e6:.1f} MB.",
        NOT_MADE,
        "Free space, keep fewer (BACKUP_KEEP), or name a folder on another disk: "
        "BACKUP_DIRECTORY=…",
    )


def no_such_backup(name: str) -> ActionableError:
    """The folder has no manifest of that name: the backup was never made, not finished, or deleted
    because BACKUP_KEEP newer ones exist. See all: ``backup list``.
    """
    return ActionableError(
        "no-such-backup",
        f"There is no backup {name!r}.",
        NOT_RESTORED,
        "See them all: backup list",
    )


def manifest_unreadable(name: str, error: Exception) -> ActionableError:
    """The manifest is not JSON, or a version of the service that this one does not know wrote it.
    Use that version, or another backup.
    """
    return ActionableError(
        "backup-manifest-unreadable",
        f"The manifest of {name} cannot be read: {error}",
        NOT_RESTORED,
        "Restore with the version of the service that made it, or choose another: backup list",
    )


def damaged(name: str, file: str) -> ActionableError:
    """The file has changed since the backup was made. Choose another backup."""
    return ActionableError(
        "backup-damaged",
        f"{file} of {name} is damaged: its checksum differs.",
        NOT_RESTORED,
        "Choose another one: backup list",
    )


def another_services(name: str, service: str) -> ActionableError:
    """Another service that uses the same folder made the backup. Choose one of this service."""
    return ActionableError(
        "backup-of-another-service",
        f"{name} is a backup of the service {service!r}.",
        NOT_RESTORED,
        "Choose another one: backup list",
    )


def restored_differs(name: str, what: str) -> ActionableError:
    """The restored database differs from the manifest, so it did not replace the old one. The new
    database is removed again. Choose another backup, and report this one.
    """
    return ActionableError(
        "backup-restored-differs",
        f"The database restored from {name} differs from the saved one: {what}.",
        NOT_RESTORED,
        "Choose another one: backup list",
    )


def instances_live(number: int) -> ActionableError:
    """Replicas of the service use this database. Their writes during a restore would be lost.
    Stop them first; a killed replica counts as gone after a minute.
    """
    return ActionableError(
        "backup-instances-live",
        f"{count(number, 'instance')} of the service {'uses' if number == 1 else 'use'} this"
        " database.",
        NOT_RESTORED,
        "Stop the service, and run it again; a killed instance counts as gone after a minute.",
    )


def partial(name: str, tenants: int) -> ActionableError:
    """The backup contains only the tenants that a run was going to change, not the whole database.
    Restore them one by one.
    """
    return ActionableError(
        "backup-is-partial",
        f"{name} contains {count(tenants, 'tenant')} and not the whole database.",
        NOT_RESTORED,
        f"Choose one: backup restore {name} --tenant ID",
    )
