"""Errors of backups of PostgreSQL."""

from pathlib import Path

from ....errors import ActionableError

NOT_MADE = "No backup was made, and nothing was migrated."
NOT_RESTORED = "Nothing was restored: the database was not changed."


def no_client(server: int) -> ActionableError:
    """There is neither ``pg_dump`` nor ``pg_restore`` on this machine. Install PostgreSQL's client,
    of the server's version or newer, or name it in BACKUP_PG_DUMP.
    """
    return ActionableError(
        "backup-no-client",
        "There is no pg_dump with a pg_restore in the same folder, neither on the PATH nor in a "
        "wheel.",
        f"{NOT_MADE} Nothing was restored.",
        f"Install the client of PostgreSQL {server} or newer (Debian: postgresql-client), or name "
        "it: BACKUP_PG_DUMP=/path/to/pg_dump",
    )


def client_missing(path: Path, reason: str) -> ActionableError:
    """BACKUP_PG_DUMP names a missing file or another program, or pg_restore is not in the same
    folder. Correct the path.
    """
    return ActionableError(
        "backup-client-missing",
        f"{path} cannot be used: {reason}",
        f"{NOT_MADE} Nothing was restored.",
        "Correct BACKUP_PG_DUMP: the path of pg_dump, with pg_restore in the same folder.",
    )


def client_too_old(path: Path, client: int, server: int) -> ActionableError:
    """``pg_dump`` refuses a server that is newer than itself. Install a newer one, and set its path
    in BACKUP_PG_DUMP if it is not on the PATH.
    """
    return ActionableError(
        "backup-client-too-old",
        f"{path} is of PostgreSQL {client}, and the server is {server}.",
        f"{NOT_MADE} Nothing was restored.",
        f"Install the client of PostgreSQL {server} or newer, or name it:"
        " BACKUP_PG_DUMP=/path/to/pg_dump",
    )


def client_failed(program: str, said: str, code: int) -> ActionableError:
    """``pg_dump`` or ``pg_restore`` failed, and its message gives the reason: a missing permission
    (``pg_read_all_data`` allows to read everything), a wrong password, a full disk.
    """
    return ActionableError(
        "backup-client-failed",
        f"{program} exited {code}: {said}",
        f"{NOT_MADE} Nothing was restored.",
        "Correct the cause. If a permission to read is missing, an administrator can run:"
        " GRANT pg_read_all_data TO the role of the address",
    )


def database_in_use(who: str) -> ActionableError:
    """Other sessions are connected, perhaps since just before the swap. End them, and try again."""
    return ActionableError(
        "backup-database-in-use",
        f"The database cannot be swapped while others are connected: {who}",
        NOT_RESTORED,
        "Stop the service and all other connected programs, and run it again.",
    )


def on_citus() -> ActionableError:
    """The tables of a Citus cluster have their rows on its workers, and one database cannot take the
    place of several. Restore tenant by tenant.
    """
    return ActionableError(
        "backup-on-citus",
        "The database is spread over the machines of a Citus cluster, so no other can replace it.",
        NOT_RESTORED,
        "Restore one tenant after the other: backup restore NAME --tenant ID",
    )


def not_restored(reason: str) -> ActionableError:
    """The server refused a step of the restore. Often a right is missing: the role needs CREATEDB
    and must own the database; with TENANT_ROLES it must be a superuser, since many roles own
    objects.
    """
    return ActionableError(
        "backup-not-restored",
        f"The server refused: {reason}",
        NOT_RESTORED,
        "Correct the cause. If a right is missing, let the role create databases (ALTER ROLE … "
        "CREATEDB) and own this one, or restore as an administrator: backup restore NAME --to "
        "postgresql+psycopg://admin@host/name",
    )
