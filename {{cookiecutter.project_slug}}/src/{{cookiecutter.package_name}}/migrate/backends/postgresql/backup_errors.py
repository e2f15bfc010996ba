"""Backups of PostgreSQL."""

from pathlib import Path

from ....errors import ActionableError

NOT_MADE = "No backup was made, and nothing was migrated."
NOT_RESTORED = "Nothing was restored: the database is as it was."


def no_client(server: int) -> ActionableError:
    """There is neither ``pg_dump`` nor ``pg_restore`` on this machine. Install PostgreSQL's client,
    of the server's version or newer, or name it in BACKUP_PG_DUMP.
    """
    return ActionableError(
        "backup-no-client",
        "There is no pg_dump with a pg_restore beside it: not on the PATH, and no wheel has one.",
        f"{NOT_MADE} Nothing was restored.",
        f"Install the client of PostgreSQL {server} or newer (Debian: postgresql-client), or name it:"
        " BACKUP_PG_DUMP=/path/to/pg_dump",
    )


def client_missing(path: Path, reason: str) -> ActionableError:
    """BACKUP_PG_DUMP names a file that is not there or is no pg_dump, or pg_restore is not beside it.
    Correct the path.
    """
    return ActionableError(
        "backup-client-missing",
        f"{path} cannot be used: {reason}",
        f"{NOT_MADE} Nothing was restored.",
        "Correct BACKUP_PG_DUMP: the path of pg_dump, with pg_restore beside it.",
    )


def client_too_old(path: Path, client: int, server: int) -> ActionableError:
    """``pg_dump`` refuses a server that is newer than itself. Install a newer one, and name it in
    BACKUP_PG_DUMP if it is not on the PATH.
    """
    return ActionableError(
        "backup-client-too-old",
        f"{path} is of PostgreSQL {client}, and the server is {server}.",
        f"{NOT_MADE} Nothing was restored.",
        f"Install the client of PostgreSQL {server} or newer, or name it:"
        " BACKUP_PG_DUMP=/path/to/pg_dump",
    )


def client_failed(program: str, said: str, code: int) -> ActionableError:
    """``pg_dump`` or ``pg_restore`` failed, and says why: a permission that is missing (a role that
    may read everything has ``pg_read_all_data``), a password that is wrong, a disk that is full.
    """
    return ActionableError(
        "backup-client-failed",
        f"{program} ended with {code}: {said}",
        f"{NOT_MADE} Nothing was restored.",
        "Correct what it says. Where it lacks a permission to read, an administrator can:"
        " GRANT pg_read_all_data TO the role of the address",
    )


def database_in_use(who: str) -> ActionableError:
    """Other sessions are connected, or became so just before the swap. End them, and try again."""
    return ActionableError(
        "backup-database-in-use",
        f"The database cannot be swapped while others are connected: {who}",
        NOT_RESTORED,
        "Stop the service and whatever else is connected, and run it again.",
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
    """The server refused a step of the restore. Often a right is missing: the role needs CREATEDB and
    must own the database; with TENANT_ROLES it must be a superuser, as a database has many owners.
    """
    return ActionableError(
        "backup-not-restored",
        f"The server refused: {reason}",
        NOT_RESTORED,
        "Mend what it says. Where a right is missing, let the role make databases (ALTER ROLE …"
        " CREATEDB) and own this one, or restore as an administrator: backup restore NAME --to postgresql+psycopg://admin@host/name",
    )
