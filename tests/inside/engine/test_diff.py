"""``migrate diff``: any two schemas; and the committed file of the migrations' schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from my_service.migrate.backends import backend

from engine.support import KIND, Command, Database, Folder


def test_diff_compares_a_database_a_file_and_the_chain(
    command: Command, folder: Folder, database: Database, tmp_path: Path
) -> None:
    folder.tables("a", "b")
    command("migrate latest")
    file = tmp_path / "before.txt"
    command(f"migrate snapshot --out {file}")
    sides = (str(file), "chain", database.address)
    for first in sides:
        for second in sides:
            assert command(f"migrate diff {first} {second}") == (0, "", "")
    database.ask("CREATE INDEX by_hand ON a (id)")
    folder.tables("c")
    assert command(f"migrate diff {file} {database.address}") == (1, "+ index by_hand\n", "")
    assert command(f"migrate diff {database.address} {file}") == (1, "- index by_hand\n", "")
    assert command(f"migrate diff chain {database.address}") == (
        1,
        "+ index by_hand\n- table c\n",
        "",
    )
    [one] = json.loads(command(f"migrate diff {file} {database.address} --json")[1])
    assert (one["kind"], one["name"], one["change"]) == ("index", "by_hand", "unexpected")


def test_diff_reads_another_database_without_changing_it(
    command: Command, folder: Folder, new_database: Callable[[], Database]
) -> None:
    folder.tables("a")
    command("migrate latest")
    other = new_database()
    other.ask("CREATE TABLE z (id INTEGER)")
    before = other.schema()
    code, out, _ = command(f"migrate diff chain {other.address}")
    assert (code, out) == (1, "- table a\n+ table z\n")
    assert other.schema() == before


def test_diff_compares_the_models_with_the_chain(command: Command, folder: Folder) -> None:
    folder.tables("a")
    table = sa.Table("a", folder.metadata, sa.Column("id", sa.Integer, primary_key=True))
    assert command("migrate diff models chain") == (0, "", "")
    table.append_column(sa.Column("name", sa.Text, server_default="x"))
    table.append_constraint(sa.CheckConstraint("id > 0", name="positive"))
    code, out, _ = command("migrate diff models chain")
    assert code == 1
    assert out.splitlines() == ["- column a.name", "- constraint a.positive"]


def test_a_changed_property_is_printed_with_both_values(
    command: Command, folder: Folder, database: Database
) -> None:
    folder.add("a", "op.execute(\"CREATE TABLE a (id INTEGER, name TEXT DEFAULT 'x')\")")
    database.ask("CREATE TABLE a (id INTEGER, name TEXT)")
    code, out, _ = command(f"migrate diff chain {database.address}")
    assert code == 1
    assert out.startswith("~ column a.name: default: 'x'")
    assert out.endswith(" -> none\n")


def test_a_missing_or_incompatible_file_is_an_error_and_misuse_exits_2(
    command: Command, folder: Folder, tmp_path: Path
) -> None:
    folder.tables("a")
    code, out, err = command("migrate diff chain nowhere.txt")
    assert (code, out) == (1, "")
    assert "nowhere.txt cannot be compared" in err
    file = tmp_path / "old.txt"
    file.write_text("# Schema snapshot 1: PostgreSQL 9, schema public\n")
    assert "cannot be compared with" in command(f"migrate diff chain {file}")[2]
    assert command("migrate diff chain")[0] == 2


# -- The committed file ----------------------------------------------------------------------------


def test_a_snapshot_file_may_begin_with_a_byte_order_mark(
    command: Command, folder: Folder, tmp_path: Path
) -> None:
    folder.tables("a")
    command("migrate latest")
    text = command("migrate snapshot")[1].replace("\n", "\r\n")
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (tmp_path / "file.txt").write_bytes(text.encode(encoding))
        assert command(f"migrate diff {tmp_path / 'file.txt'} chain") == (0, "", "")


def test_a_snapshot_cannot_be_written_to_a_missing_folder(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "none" / "file.txt"
    code, _, err = command(f"migrate snapshot --out {file}")
    assert (code, file.parent.exists()) == (1, False)
    assert f"{file} cannot be written: No such file or directory" in err


@pytest.mark.skipif(KIND != "sqlite", reason="a server says so itself")
def test_diff_does_not_create_a_missing_sqlite_file(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "none" / "x.db"
    code, out, err = command(f"migrate diff sqlite:///{file} chain")
    assert (code, out, file.parent.exists()) == (1, "", False)
    assert f"there is no file {file}" in err


def test_make_and_latest_update_the_committed_schema_file(command: Command, folder: Folder) -> None:
    file = folder.path / f"schema.{backend.DIALECT}.txt"
    folder.tables("a")
    command("migrate latest")
    assert not file.exists()  # a service without the file does not get one
    file.write_text("")
    folder.tables("b")
    out = command("migrate latest")[1]
    assert out.splitlines()[0] == "Batch 2 run: 1 migration"
    assert out.splitlines()[1].endswith(file.name)
    assert "\ntable: b\n" in file.read_text()
    assert command(f"migrate diff chain {file}") == (0, "", "")
    for table in ("a", "b", "c"):
        sa.Table(table, folder.metadata, sa.Column("id", sa.Integer, primary_key=True))
    command("migrate make add_c")
    assert "\ntable: c\n" in file.read_text()


def test_a_run_succeeds_if_the_schema_file_cannot_be_written(
    command: Command, folder: Folder
) -> None:
    (folder.path / f"schema.{backend.DIALECT}.txt").mkdir()
    folder.tables("a")
    code, out, err = command("migrate latest")
    assert (code, out) == (0, "Batch 1 run: 1 migration\n")
    assert err.startswith("The files of the schema were not updated: ")


def test_outside_development_the_schema_file_is_not_written(
    command: Command, folder: Folder, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = folder.path / f"schema.{backend.DIALECT}.txt"
    file.write_text("")
    folder.tables("a")
    monkeypatch.setenv("ENVIRONMENT", "test")
    monkeypatch.setenv("TEST_DATABASE_URL", database.address)
    assert command("migrate latest")[0] == 0
    assert file.read_text() == ""


def test_a_schema_file_of_another_server_version_is_not_changed(
    command: Command, folder: Folder
) -> None:
    file = folder.path / f"schema.{backend.DIALECT}.txt"
    text = "# Schema snapshot 1: PostgreSQL 9, schema public\n"
    file.write_text(text)
    folder.tables("a")
    assert command("migrate latest") == (0, "Batch 1 run: 1 migration\n", "")
    assert file.read_text() == text
