"""An empty database to try migrations in."""

from __future__ import annotations

from dataclasses import replace
from secrets import token_hex

import pytest
import sqlalchemy as sa
from my_service.errors import ActionableError
from my_service.migrate import run_migrations
from my_service.migrate.backends import backend

from engine.fixtures import on_server
from engine.support import KIND, Database, Folder

on_postgresql = pytest.mark.skipif(KIND == "sqlite", reason="SQLite's is in memory")


def scratch_databases(database: Database) -> list[str]:
    """Names of the scratch databases on the server."""
    rows = database.ask("SELECT datname FROM pg_database WHERE datname ~ '^scratch_'")
    return [name for (name,) in rows]


def test_migrations_run_in_a_scratch_database_and_not_in_the_own_one(
    engine: sa.Engine, database: Database, folder: Folder
) -> None:
    folder.tables("a", "b")
    with backend.scratch(engine) as scratch:
        result = run_migrations(scratch, config=folder.config())
        assert result.raise_for_error().migrations == ("001_a", "002_b")
        assert {"a", "b"} <= set(sa.inspect(scratch).get_table_names())
    assert sa.inspect(engine).get_table_names() == []


def test_a_migration_outside_a_transaction_runs_in_a_scratch_database(
    engine: sa.Engine, folder: Folder
) -> None:
    folder.tables("a")
    folder.add("index", 'op.create_index("i", "a", ["id"])', extra="transaction = False")
    with backend.scratch(engine) as scratch:
        run_migrations(scratch, config=folder.config()).raise_for_error()
        assert [index["name"] for index in sa.inspect(scratch).get_indexes("a")] == ["i"]


@on_postgresql
def test_a_scratch_database_is_dropped_after_errors_and_with_open_connections(
    engine: sa.Engine, database: Database
) -> None:
    import psycopg

    before = scratch_databases(database)
    with pytest.raises(ZeroDivisionError), backend.scratch(engine) as scratch:
        guest = psycopg.connect(scratch.url.set(drivername="postgresql").render_as_string())
        assert scratch.url.database in scratch_databases(database)
        raise ZeroDivisionError
    guest.close()
    assert scratch_databases(database) == before


@on_postgresql
def test_a_scratch_database_of_a_killed_process_is_dropped_a_day_later(
    engine: sa.Engine, database: Database
) -> None:
    old, new = f"scratch_1700000000_{token_hex(4)}", f"scratch_9999999999_{token_hex(4)}"
    on_server(f"CREATE DATABASE {old}")
    on_server(f"CREATE DATABASE {new}")
    with backend.scratch(engine):
        names = scratch_databases(database)
    on_server(f"DROP DATABASE {new}")
    assert old not in names
    assert new in names


@on_postgresql
def test_a_role_without_createdb_gets_an_error_with_the_solution(database: Database) -> None:
    database.ask(
        "DO $$BEGIN IF to_regrole('scratch_plain') IS NULL THEN"
        " CREATE ROLE scratch_plain LOGIN; END IF; END$$"
    )
    url = sa.make_url(database.address).set(username="scratch_plain")
    plain = replace(database, address=url.render_as_string(hide_password=False)).engine()
    with pytest.raises(ActionableError) as refusal, backend.scratch(plain):
        pass
    plain.dispose()
    assert refusal.value.code == "no-scratch-database"
    assert "CREATEDB" in refusal.value.solution
