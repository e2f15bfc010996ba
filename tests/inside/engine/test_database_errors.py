"""Errors of the database name their cause and the matching solution."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
from my_service.errors import ActionableError
from my_service.migrate import run_migrations

from engine.support import KIND, Database, Folder, create

only_sqlite = pytest.mark.skipif(KIND != "sqlite", reason="this is SQLite's")
only_postgresql = pytest.mark.skipif(KIND != "postgresql", reason="this is PostgreSQL's")


@only_sqlite
def test_a_file_that_is_not_a_database_has_its_own_solution(folder: Folder, tmp_path: Path) -> None:
    folder.tables("a")
    odd = tmp_path / "odd.db"
    odd.write_bytes(b"this is no database at all, whatever its name says" * 30)
    engine = sa.create_engine(f"sqlite:///{odd}", poolclass=sa.NullPool)
    error = run_migrations(engine, config=folder.config()).error
    assert isinstance(error, ActionableError)
    solution = "Correct DATABASE_URL: the file is not a SQLite database."
    assert (error.code, error.solution) == ("database-refuses", solution)


def test_an_error_of_the_server_has_a_solution_for_the_server(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    if KIND == "sqlite":
        full, solution = 'op.execute("PRAGMA max_page_count = 1")', "Free space on the disk."
    else:
        full = 'op.execute("SET LOCAL transaction_read_only = on")'
        solution = "Connect to the primary: this server takes no writes."
    folder.add("refused", [full, create("a")])
    error = run_migrations(engine, config=folder.config()).error
    assert (error.code, error.solution) == (
        "migration-failed",
        f"{solution} Then run it again: migrate latest",
    )
    assert database.tables() == set()


@only_postgresql
@pytest.mark.parametrize(
    ("schema", "solution"),
    [
        ("USAGE", "Grant this user the permission; the owner of the schema or table can."),
        ("CREATE", "Create the schema, or let this user use it: GRANT USAGE ON SCHEMA …"),
    ],
)
def test_a_missing_permission_has_a_matching_solution(
    database: Database, folder: Folder, schema: str, solution: str
) -> None:
    role = f"weak_{uuid4().hex}"
    database.ask("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    database.ask(f"CREATE ROLE {role} LOGIN; GRANT {schema} ON SCHEMA public TO {role}")
    weak = sa.create_engine(sa.make_url(database.address).set(username=role))
    folder.tables("a")
    error = run_migrations(weak, config=folder.config()).error
    weak.dispose()
    database.ask(f"DROP OWNED BY {role}; DROP ROLE {role}")
    assert error.solution == f"{solution} Then run it again: migrate latest"


@only_postgresql
def test_a_missing_user_is_not_reported_as_a_missing_database(
    database: Database, folder: Folder
) -> None:
    nobody = sa.create_engine(sa.make_url(database.address).set(username="nobody_of_that_name"))
    error = run_migrations(nobody, config=folder.config()).error
    assert (
        error.solution == "Let this user log in (pg_hba.conf), or correct the user in DATABASE_URL."
    )
