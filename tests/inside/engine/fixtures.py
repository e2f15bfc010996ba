"""Fixtures: an empty database of the service's own kind, and an empty folder of migrations."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa

# Packages that the service does not install (Hypothesis) come from the template's environment.
sys.path.append(os.environ["INSIDE_EXTRA_PACKAGES"])

from engine.support import KIND, Command, Database, Folder

EMPTY = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid();
DROP SCHEMA public CASCADE;
CREATE SCHEMA public
"""


@pytest.fixture(scope="session")
def spare_databases() -> Iterator[list[str]]:
    """Names of databases on the server, reused by each test."""
    names: list[str] = []
    yield names
    for name in names:
        on_server(f"DROP DATABASE {name} WITH (FORCE)")


def server_url(database: str) -> sa.URL:
    """The address of a database on the server."""
    return sa.make_url(os.environ["INSIDE_SERVER"]).set(database=database)


@lru_cache(maxsize=8)
def engine_on(url: sa.URL) -> sa.Engine:
    """An engine that keeps no connection. A new one would first ask the server about itself."""
    return sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")


def on_server(statement: str, database: str = "postgres") -> None:
    """Run a statement outside a transaction."""
    with engine_on(server_url(database)).connect() as connection:
        connection.exec_driver_sql(statement)


@pytest.fixture
def new_database(tmp_path: Path, spare_databases: list[str]) -> Iterator[Callable[[], Database]]:
    """Makes empty databases. PostgreSQL's are emptied and reused, which is faster."""
    made: list[Database] = []

    def make() -> Database:
        made.append(Database(next_address()))
        return made[-1]

    def next_address() -> str:
        count = len(made) + 1
        if KIND == "sqlite":
            return f"sqlite:///{tmp_path / str(count)}.db"
        if len(spare_databases) < count:
            spare_databases.append(f"engine_{uuid4().hex}")
            on_server(f"CREATE DATABASE {spare_databases[-1]}")
        name = spare_databases[count - 1]
        on_server(EMPTY, name)
        return server_url(name).render_as_string(hide_password=False)

    yield make
    for database in made:
        database.dispose()


@pytest.fixture
def nowhere(tmp_path: Path) -> sa.Engine:
    """An engine whose database does not answer."""
    addresses = {
        "sqlite": f"sqlite:///{tmp_path}/no/such/folder/x.db",
        "postgresql": "postgresql+psycopg://me:hidden@127.0.0.1:1/nowhere",
    }
    return sa.create_engine(addresses[KIND], poolclass=sa.NullPool)


@pytest.fixture
def database(new_database: Callable[[], Database]) -> Database:
    """An empty database."""
    return new_database()


@pytest.fixture
def engine(database: Database) -> sa.Engine:
    """The service's engine on it."""
    return database.engine()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """An empty folder of migrations."""
    return Folder(tmp_path / "migrations")


@pytest.fixture
def command(
    database: Database,
    folder: Folder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Runs a command line on database and folder: returns exit code, output and errors."""
    from my_service import migrations
    from my_service.cli import main

    monkeypatch.setattr(migrations, "config", folder.config())
    monkeypatch.setenv("ENVIRONMENT", "development")
    monkeypatch.setenv("DATABASE_URL", database.address)

    def run(line: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["service", *line.split()])
        with pytest.raises(SystemExit) as end:
            main()
        output = capsys.readouterr()
        return int(str(end.value.code or 0)), output.out, output.err

    return run
