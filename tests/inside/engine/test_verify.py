"""``migrate verify`` and ``migrate snapshot``: compare the database with its migrations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from my_service.migrate import Snapshot, run_migrations, verify_schema

from engine.support import Command, Database, Folder

IN_STEP = "In step: the schema is what its migrations make"


@pytest.fixture
def migrated(command: Command, folder: Folder) -> Folder:
    """Two tables, migrated."""
    folder.tables("a", "b")
    assert command("migrate latest")[0] == 0
    return folder


@pytest.mark.usefixtures("migrated")
def test_a_database_without_manual_changes_is_in_step(command: Command) -> None:
    assert command("migrate verify") == (0, f"{IN_STEP}\n", "")
    result = json.loads(command("migrate verify --json")[1])
    assert result == {
        "success": True,
        "differences": [],
        "pending": [],
        "changed_since_run": False,
        "error": None,
    }


@pytest.mark.usefixtures("migrated")
def test_each_difference_is_printed_with_cause_and_solution(
    command: Command, database: Database
) -> None:
    database.ask("CREATE INDEX by_hand ON a (id)")
    database.ask("DROP TABLE b")
    code, out, err = command("migrate verify")
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert lines[0] == "table b is missing"
    assert lines[3] == "index by_hand is there; the migrations do not make it"
    assert [line.split(":")[0] for line in lines[1:3]] == ["  Cause", "  Solution"]
    assert lines[-1] == (
        "The schema differs from what its migrations make. It has changed since the last run."
    )
    result = json.loads(command("migrate verify --json")[1])
    assert not result["success"]
    assert [(one["kind"], one["name"], one["change"]) for one in result["differences"]] == [
        ("table", "b", "missing"),
        ("index", "by_hand", "unexpected"),
    ]


def test_pending_migrations_are_not_compared(
    command: Command, migrated: Folder, database: Database
) -> None:
    migrated.tables("c")
    assert command("migrate verify") == (0, f"{IN_STEP} (1 pending, not compared)\n", "")
    assert "c" not in database.tables()


def test_verify_finds_a_file_that_was_edited_after_it_was_applied(
    command: Command, migrated: Folder
) -> None:
    file = migrated.file("001_a")
    file.write_text(
        file.read_text().replace("primary_key=True)", 'primary_key=True), sa.Column("x", sa.Text)')
    )
    code, out, _ = command("migrate verify")
    assert code == 1
    assert out.startswith("column a.x is missing\n")
    assert out.endswith("make. It has not changed since the last run.\n")


@pytest.mark.usefixtures("migrated")
def test_tables_of_other_programs_are_not_compared(
    command: Command, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.ask("CREATE TABLE knex_migrations (id INTEGER)")
    assert command("migrate verify")[0] == 0
    database.ask("CREATE TABLE geo_points (id INTEGER)")
    database.ask("CREATE INDEX geo_points_idx ON geo_points (id)")
    assert command("migrate verify")[0] == 1
    monkeypatch.setenv("MIGRATION_EXCLUDED", "audit_log, geo_*")
    assert command("migrate verify")[0] == 0


def test_a_migration_that_does_not_load_is_an_error(command: Command, folder: Folder) -> None:
    folder.add("reads_rows", 'op.execute("INSERT INTO nowhere VALUES (1)")')
    folder.metadata = sa.MetaData()
    command("migrate latest")
    assert command("migrate verify")[0] == 0  # nothing is applied, nothing exists
    folder.file("001_reads_rows").write_text("nonsense")
    code, out, err = command("migrate verify")
    assert (code, out) == (1, "")
    assert err.startswith("Problem: ")
    assert json.loads(command("migrate verify --json")[1])["error"]["code"]
    assert command("migrate verify --sideways")[0] == 2


def test_verifying_changes_nothing(database: Database, engine: sa.Engine, migrated: Folder) -> None:
    before = database.all()
    assert verify_schema(engine, config=migrated.config()).success
    assert database.all() == before


@pytest.mark.usefixtures("migrated")
def test_a_snapshot_is_printed_or_written(command: Command, tmp_path: Path) -> None:
    code, out, err = command("migrate snapshot")
    assert (code, err) == (0, "")
    assert {item.name for item in Snapshot.from_text(out).items if item.kind == "table"} == {
        "a",
        "b",
    }
    file = tmp_path / "snapshot.txt"
    assert command(f"migrate snapshot --out {file}") == (0, f"Wrote {file}\n", "")
    assert file.read_text(encoding="utf-8") == out


# -- The fingerprint in the history, and MIGRATION_VERIFY=after ------------------------------------


def fingerprints(database: Database) -> list[Any]:
    """The fingerprints of the applied rows of history, oldest first."""
    rows = database.ask(
        "SELECT fingerprint FROM migration_history WHERE rolled_back_at IS NULL ORDER BY id"
    )
    return [fingerprint for (fingerprint,) in rows]


def test_a_run_records_the_fingerprint_of_the_schema(
    command: Command, folder: Folder, database: Database
) -> None:
    folder.tables("a", "b")
    command("migrate latest")
    first, second = fingerprints(database)
    assert first is None  # no fingerprint was taken at this state
    assert second == Snapshot.from_text(command("migrate snapshot")[1]).fingerprint


def test_a_rollback_records_the_fingerprint_of_the_schema(
    command: Command, folder: Folder, database: Database
) -> None:
    folder.tables("a", "b")
    command("migrate latest")
    command("migrate down")
    only = fingerprints(database)
    assert only == [Snapshot.from_text(command("migrate snapshot")[1]).fingerprint]
    assert json.loads(command("migrate verify --json")[1])["changed_since_run"] is False


def test_a_failed_run_does_not_change_the_fingerprint(
    command: Command, folder: Folder, database: Database
) -> None:
    folder.tables("a")
    command("migrate latest")
    before = fingerprints(database)
    folder.add("b", ['op.create_table("b", sa.Column("id", sa.Integer))', "1 / 0"])
    assert command("migrate latest")[0] == 1
    assert fingerprints(database) == before


def test_a_migration_outside_a_transaction_records_the_fingerprint_too(
    command: Command, folder: Folder, database: Database
) -> None:
    folder.tables("a")
    folder.add("i", 'op.create_index("i", "a", ["id"])', extra="transaction = False")
    command("migrate latest")
    assert fingerprints(database)[-1] == (
        Snapshot.from_text(command("migrate snapshot")[1]).fingerprint
    )


def test_a_run_fails_if_the_schema_differs_afterwards(
    command: Command, folder: Folder, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGRATION_VERIFY", "after")
    folder.tables("a")
    assert command("migrate latest") == (0, "Batch 1 run: 1 migration\n", "")
    database.ask("CREATE INDEX by_hand ON a (id)")
    folder.tables("b")
    code, out, err = command("migrate latest")
    assert (code, out) == (1, "Batch 2 run: 1 migration\n")
    assert "index by_hand is there; the migrations do not make it" in err.splitlines()[0]
    assert "The run stays applied" in err.splitlines()[1]
    assert database.tables() == {"a", "b"}
    assert command("migrate rollback")[0] == 1


def test_a_run_that_had_nothing_to_do_is_not_verified(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("a")
    run_migrations(engine, config=folder.config())
    database.ask("DROP TABLE a")
    assert run_migrations(engine, config=folder.config(verify="after")).success
