"""Errors of backups of SQLite."""

from pathlib import Path

from ....errors import ActionableError

NOT_RESTORED = "Nothing was restored: the database was not changed."


def copy_failed(error: Exception) -> ActionableError:
    """SQLite could not write the copy: the disk is full, or the database is damaged. Free space, or
    name another folder in BACKUP_DIRECTORY.
    """
    return ActionableError(
        "backup-failed",
        f"VACUUM INTO failed: {error}",
        "No backup was made, and nothing was migrated.",
        "Free space on the disk of BACKUP_DIRECTORY, or set it to another folder.",
    )


def not_sound(found: str) -> ActionableError:
    """SQLite's integrity check found damage in the file. Restore an older backup."""
    return ActionableError(
        "backup-not-sound",
        f"The integrity check of SQLite found: {found}",
        "The file was not used, and nothing was migrated.",
        "Look for damage in the database: PRAGMA integrity_check; older backups: backup list",
    )


def in_memory() -> ActionableError:
    """A database in memory ends with its process, so a restore into it makes no sense."""
    return ActionableError(
        "backup-into-memory",
        "The database is in memory.",
        "Nothing was restored.",
        "Name a file: backup restore NAME --to sqlite:///data/restored.db",
    )


def in_use(path: Path) -> ActionableError:
    """Another process has the file open: the service, or a tool. Stop it."""
    return ActionableError(
        "backup-file-in-use",
        f"Another process has {path} open.",
        NOT_RESTORED,
        "Stop the service and all other programs that have it open, and run it again.",
    )


def not_restored(path: Path, error: OSError) -> ActionableError:
    """The new file could not be written next to the old one. Free space, or correct permissions."""
    return ActionableError(
        "backup-not-restored",
        f"No new file could be created next to {path}: {error.strerror or error}",
        NOT_RESTORED,
        f"Free space on its disk, and let this user write to {path.parent}",
    )
