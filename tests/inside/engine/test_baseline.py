"""``migrate baseline``: an existing database is taken over unchanged, or not at all."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from engine.support import Command, Database, Folder, create

TAKEN_OVER = "No rollback undoes these migrations, not even rollback --all\n"


@pytest.fixture
def unversioned(folder: Folder, database: Database) -> Database:
    """A database with the tables of two migrations, a row, and no history; a third is pending."""
    folder.tables("a", "b")
    database.ask("CREATE TABLE a (id INTEGER NOT NULL PRIMARY KEY)")
    database.ask("CREATE TABLE b (id INTEGER NOT NULL PRIMARY KEY)")
    if database.address.startswith("postgresql"):
        for table in "ab":
            database.ask(f"CREATE SEQUENCE {table}_id_seq AS integer OWNED BY {table}.id")
            database.ask(f"ALTER TABLE {table} ALTER id SET DEFAULT nextval('{table}_id_seq')")
    database.ask("INSERT INTO a (id) VALUES (1)")
    return database


def test_a_database_that_equals_the_chain_is_recorded_without_running_anything(
    command: Command, unversioned: Database
) -> None:
    assert command("migrate baseline") == (
        0,
        f"Taken over: 2 migrations recorded, none run.\n{TAKEN_OVER}",
        "",
    )
    assert unversioned.heads() == {"002"}
    applied = [(batch, name) for _, batch, name, _ in unversioned.history()]
    assert applied == [(0, "001_a"), (0, "002_b")]
    assert command("migrate latest") == (0, "Already up to date\n", "")
    assert command("migrate verify")[0] == 0
    assert json.loads(command("migrate verify --json")[1])["changed_since_run"] is False


def test_a_baseline_is_never_rolled_back(
    command: Command, unversioned: Database, folder: Folder
) -> None:
    command("migrate baseline")
    folder.tables("c")
    assert command("migrate latest")[0] == 0
    assert command("migrate rollback --all") == (0, "All batches rolled back: 1 migration\n", "")
    code, out, err = command("migrate rollback --all")
    assert (code, err) == (0, "")
    assert (
        out == "Already at the base migration: 2 migrations were taken over or squashed, and stay\n"
    )
    assert command("migrate down")[0] == 1
    assert unversioned.tables() == {"a", "b"}
    assert unversioned.ask("SELECT id FROM a") == [(1,)]


def test_a_database_can_be_taken_over_at_an_older_migration(
    command: Command, unversioned: Database, folder: Folder
) -> None:
    folder.tables("c")
    assert command("migrate baseline")[0] == 1
    assert command("migrate baseline 002_b")[0] == 0
    assert command("migrate latest") == (0, "Batch 1 run: 1 migration\n", "")
    assert unversioned.tables() == {"a", "b", "c"}


def test_a_database_that_differs_is_not_recorded_and_differences_are_printed(
    command: Command, unversioned: Database
) -> None:
    unversioned.ask("CREATE INDEX by_hand ON a (id)")
    before = unversioned.schema()
    code, out, err = command("migrate baseline")
    assert (code, err) == (1, "")
    assert out.splitlines()[0] == "index by_hand is there; the migrations do not make it"
    assert "Nothing was recorded: 1 difference." in out
    assert unversioned.schema() == before
    result = json.loads(command("migrate baseline --json")[1])
    assert not result["success"]
    assert result["migrations"] == []
    assert [one["name"] for one in result["differences"]] == ["by_hand"]


def test_accepted_differences_are_recorded_with_a_reason(
    command: Command, unversioned: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    unversioned.ask("CREATE INDEX by_hand ON a (id)")
    assert command("migrate baseline --accept-differences= ")[0] == 1
    code, out, _ = command("migrate baseline --accept-differences made_by_the_DBA")
    assert code == 0
    assert "2 migrations recorded, none run. 1 difference accepted." in out
    notes = unversioned.ask("SELECT note FROM migration_history ORDER BY id")
    assert notes == [(None,), ("made_by_the_DBA",)]


def test_tables_of_other_tools_are_named_and_not_compared(
    command: Command, unversioned: Database
) -> None:
    unversioned.ask("CREATE TABLE knex_migrations (id INTEGER)")
    code, out, _ = command("migrate baseline")
    assert code == 0
    assert out.startswith("Table knex_migrations belongs to Knex: not compared\n")


def test_only_a_database_with_tables_and_without_history_is_taken_over(
    command: Command, folder: Folder
) -> None:
    folder.tables("a")
    code, _, err = command("migrate baseline")
    assert (code, err.splitlines()[0]) == (1, "Problem:  The database has no tables.")
    command("migrate latest")
    code, _, err = command("migrate baseline")
    assert code == 1
    assert "has a history already: 001_a" in err
    assert command("migrate baseline --sideways")[0] == 2


def test_a_run_on_tables_without_history_points_to_the_baseline(
    command: Command, unversioned: Database
) -> None:
    unversioned.ask("CREATE TABLE knex_migrations (id INTEGER)")
    before = unversioned.schema()
    code, out, err = command("migrate latest")
    assert (code, out) == (1, "")
    assert "The database has tables, but no history of this service: 001_a failed" in err
    assert "(There are tables of Knex.)" in err
    assert "Take it over: migrate baseline" in err
    assert unversioned.schema() == before


def test_a_table_created_twice_does_not_point_to_the_baseline(
    command: Command, folder: Folder
) -> None:
    folder.tables("a")
    command("migrate latest")
    folder.add("again", create("a"))
    assert "migrate baseline" not in command("migrate latest")[2]


def test_migrate_make_ignores_tables_of_other_tools(
    command: Command, unversioned: Database, folder: Folder
) -> None:
    command("migrate baseline")
    unversioned.ask("CREATE TABLE knex_migrations (id INTEGER)")
    unversioned.ask("CREATE TABLE geo_points (id INTEGER)")
    for table in "ab":
        sa.Table(table, folder.metadata, sa.Column("id", sa.Integer, primary_key=True))
    lines = command("migrate make nothing")[1].splitlines()
    assert [line for line in lines if "knex" in line] == [
        "  Table knex_migrations belongs to Knex: not touched"
    ]
    assert any("geo_points" in line for line in lines)
    [written] = folder.versions.glob("*_nothing.py")
    assert "knex" not in written.read_text()


def test_an_alembic_stamp_counts_as_a_baseline(command: Command, unversioned: Database) -> None:
    unversioned.ask("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    unversioned.ask("INSERT INTO alembic_version VALUES ('002')")
    assert command("migrate latest") == (0, "Already up to date\n", "")
    assert command("migrate rollback --all")[0] == 0
    assert unversioned.tables() == {"a", "b"}
