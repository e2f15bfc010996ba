"""``migrate squash``: one migration replaces many, and existing databases keep working."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.git import commit
from engine.support import KIND, Command, Database, Folder, create

INDEX = 'op.create_index("a_name_idx", "a", ["name"])'


@pytest.fixture
def three(folder: Folder) -> Folder:
    """Three committed migrations; the second also writes a row."""
    folder.add(
        "a",
        'op.create_table("a", sa.Column("id", sa.Integer, primary_key=True),'
        ' sa.Column("name", sa.String(20), server_default="50% \'off\' \\\\ :all", nullable=False))',
        'op.drop_table("a")',
    )
    folder.add("b", [INDEX, "op.execute(\"INSERT INTO a (id, name) VALUES (1, 'first')\")"])
    folder.tables("c")
    commit(folder.path)
    return folder


def files(folder: Folder) -> set[str]:
    return {path.stem for path in folder.versions.glob("*.py")}


def notes(database: Database) -> list[tuple[str, int, bool]]:
    """Name, batch, and whether there is a note, of every applied row."""
    rows = database.ask(
        "SELECT name, batch, note IS NOT NULL FROM migration_history"
        " WHERE rolled_back_at IS NULL ORDER BY id"
    )
    return [(name, batch, bool(noted)) for name, batch, noted in rows]


def test_squash_replaces_all_files_up_to_the_name_by_one(command: Command, three: Folder) -> None:
    three.tables("d")
    code, out, err = command("migrate squash 003_c")
    assert (code, err) == (0, "")
    assert out.splitlines()[1:] == [
        "Removed 3 files, which git has: 001_a, 002_b, 003_c",
        "It writes no rows; these read or wrote some: 002_b",
    ]
    assert files(three) == {"003_squashed", "004_d"}
    text = three.file("003_squashed").read_text()
    assert 'revision = "003"' in text
    assert 'replaces = ("001", "002", "003")' in text
    rows = text[text.index("It writes no rows") : text.index("import sqlalchemy")]
    assert "- 002_b\n" in rows
    assert "001_a" not in rows
    assert "INSERT" not in text


def test_an_empty_database_runs_only_the_squashed_file(
    command: Command, three: Folder, new_database: Callable[[], Database], database: Database
) -> None:
    command("migrate latest")
    before = [row for row in database.schema() if "migration" not in str(row)]
    assert command("migrate squash c")[0] == 0
    empty = new_database()
    from my_service.migrate import run_migrations

    result = run_migrations(empty.engine(), config=three.config())
    assert result.raise_for_error().migrations == ("003_squashed",)
    assert {row[1] for row in empty.schema()} >= {row[1] for row in before}
    empty.ask("INSERT INTO a (id) VALUES (7)")
    assert empty.ask("SELECT id, name FROM a") == [(7, "50% 'off' \\ :all")]
    assert empty.heads() == {"003"}
    assert notes(empty) == [("003_squashed", 1, False)]


@pytest.mark.parametrize("past", [False, True])
def test_a_database_with_all_replaced_migrations_records_the_squashed_one(
    command: Command, three: Folder, database: Database, *, past: bool
) -> None:
    if past:
        three.tables("d")
    command("migrate latest")
    schema = database.schema()
    assert command("migrate squash c")[0] == 0
    assert json.loads(command("migrate status --json")[1])["pending"] == []
    assert command("migrate latest") == (0, "Already up to date\n", "")
    assert database.schema() == schema
    assert database.ask("SELECT id, name FROM a") == [(1, "first")]
    assert database.heads() == {"004" if past else "003"}
    recorded = [("001_a", 0, True), ("002_b", 0, True), ("003_squashed", 0, True)]
    assert notes(database) == recorded + [("004_d", 1, False)] * past
    rows = database.ask("SELECT * FROM migration_history ORDER BY id")
    assert command("migrate latest") == (0, "Already up to date\n", "")
    assert database.ask("SELECT * FROM migration_history ORDER BY id") == rows
    assert command("migrate verify")[0] == 0


def test_a_recorded_squashed_migration_is_not_rolled_back(
    command: Command, three: Folder, database: Database
) -> None:
    three.tables("d")
    command("migrate latest")
    command("migrate squash c")
    assert command("migrate rollback")[:2] == (0, "Batch 1 rolled back: 1 migration\n")
    assert command("migrate rollback")[0] == 0
    assert command("migrate rollback --all")[0] == 0
    assert command("migrate down")[0] == 1
    assert database.tables() == {"a", "c"}
    assert database.ask("SELECT id FROM a") == [(1,)]
    assert command("migrate latest") == (0, "Batch 1 run: 1 migration\n", "")


def test_a_database_with_only_some_replaced_migrations_is_refused(
    command: Command, three: Folder, database: Database
) -> None:
    command("migrate up")
    command("migrate up")
    before = database.all()
    command("migrate squash c")
    for line in ("migrate latest", "migrate up"):
        code, out, err = command(line)
        assert (code, out) == (1, "")
        assert "The database is at 002_b: it has only some of the migrations" in err
        assert "that 003_squashed replaces" in err
    status = json.loads(command("migrate status --json")[1])
    assert status["problem"]["code"] == "squash-half-applied"
    assert database.all() == before


def test_a_release_from_before_the_squash_still_runs(
    command: Command, three: Folder, database: Database
) -> None:
    old = {path: path.read_text() for path in three.versions.glob("*.py")}
    command("migrate latest")
    command("migrate squash c")
    command("migrate latest")
    squashed = three.file("003_squashed")
    text = squashed.read_text()
    squashed.unlink()
    for path, content in old.items():
        path.write_text(content)
    assert command("migrate latest") == (0, "Already up to date\n", "")
    assert command("migrate rollback --all")[0] == 0
    assert database.tables() == {"a", "c"}
    for path in old:
        path.unlink()
    squashed.write_text(text)
    assert command("migrate latest") == (0, "Already up to date\n", "")


def test_after_alembic_removes_its_version_a_baseline_works(
    command: Command, three: Folder, database: Database
) -> None:
    command("migrate latest")
    command("migrate squash c")
    command("migrate latest")
    database.ask("DELETE FROM alembic_version")
    assert "tables, but no history" in command("migrate latest")[2]
    assert notes(database) == []
    assert command("migrate baseline")[0] == 0
    assert notes(database) == [("003_squashed", 0, False)]
    assert database.ask("SELECT id FROM a") == [(1,)]


def test_a_squashed_migration_can_be_squashed_again(
    command: Command, three: Folder, database: Database
) -> None:
    command("migrate latest")
    assert command("migrate squash b")[0] == 0
    commit(three.path)
    assert command("migrate squash c")[0] == 0
    assert files(three) == {"003_squashed"}
    assert 'replaces = ("001", "002", "003")' in three.file("003_squashed").read_text()
    assert command("migrate latest") == (0, "Already up to date\n", "")
    assert [name for name, *_ in notes(database)] == ["001_a", "002_b", "003_squashed"]


def test_squash_writes_nothing_if_the_schema_would_differ(
    command: Command, three: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from my_service.migrate.backends import backend

    # One statement is lost on purpose: the snapshots must find it.
    recreate = backend.recreate
    monkeypatch.setattr(
        backend,
        "recreate",
        lambda *args, **how: [one for one in recreate(*args, **how) if "a_name_idx" not in one],
    )
    before = {path: path.read_text() for path in three.versions.glob("*.py")}
    code, out, err = command("migrate squash c")
    assert (code, err) == (1, "")
    assert "index a_name_idx is missing" in out
    assert "Nothing was written: 1 difference" in out
    assert {path: path.read_text() for path in three.versions.glob("*.py")} == before


def test_a_squashed_migration_that_ran_is_not_rolled_back(
    command: Command, three: Folder, database: Database
) -> None:
    three.tables("d")
    assert command("migrate squash c")[0] == 0
    assert command("migrate latest") == (0, "Batch 1 run: 2 migrations\n", "")
    assert command("migrate rollback --all") == (0, "All batches rolled back: 1 migration\n", "")
    message = "Already at the base migration: 1 migration was taken over or squashed, and stays\n"
    for line in ("migrate rollback --all", "migrate rollback"):
        assert command(line) == (0, message, "")
    code, _, err = command("migrate down")
    assert (code, err.splitlines()[0]) == (
        1,
        "Problem:  003_squashed: it was taken over without being run, or squashed.",
    )
    assert database.tables() == {"a", "c"}


@pytest.mark.skipif(KIND == "sqlite", reason="SQLite keeps no functions")
def test_squash_finds_that_a_table_made_by_a_function_is_missing(
    command: Command, folder: Folder
) -> None:
    body = "BEGIN EXECUTE 'CREATE TABLE made ()'; END"
    made = f"CREATE FUNCTION make() RETURNS void LANGUAGE plpgsql AS $${body}$$"
    folder.add("function", f'op.execute("{made}")')
    folder.add("call", 'op.execute("SELECT make()")')
    commit(folder.path)
    code, out, err = command("migrate squash call")
    assert (code, err) == (1, "")
    assert "table made is missing" in out
    assert files(folder) == {"001_function", "002_call"}


def test_an_instance_registers_after_its_contract_was_squashed(
    command: Command, folder: Folder, database: Database
) -> None:
    from my_service.migrate import Registration

    folder.tables("a")
    folder.add("drops", 'op.drop_table("a")', create("a"), extra='phase = "contract"')
    folder.tables("b")
    commit(folder.path)
    command("migrate contract")
    assert command("migrate squash b")[0] == 0
    Registration(database.engine(), folder.config()).register()
    assert command("migrate latest") == (0, "Already up to date\n", "")
    Registration(database.engine(), folder.config()).register()


@pytest.mark.skipif(KIND != "sqlite", reason="only SQLite rebuilds tables")
def test_a_table_rebuild_does_not_count_as_writing_rows(command: Command, folder: Folder) -> None:
    folder.tables("a")
    column = 'batch.add_column(sa.Column("x", sa.Integer))'
    rebuild = ['with op.batch_alter_table("a", recreate="always") as batch:', f"    {column}"]
    folder.add("rebuilds", rebuild)
    commit(folder.path)
    code, out, err = command("migrate squash rebuilds")
    assert (code, err) == (0, "")
    assert "It writes no rows" not in out
    assert (
        "As far as observed, none of them reads or writes rows."
        in folder.file("002_squashed").read_text()
    )


def test_squash_refuses_if_a_later_migration_needs_the_rows(
    command: Command, three: Folder
) -> None:
    found = 'assert op.get_bind().exec_driver_sql("SELECT 1 FROM a").first()'
    three.add("needs_the_row", found)
    code, _, err = command("migrate squash c")
    assert code == 1
    assert "The squashed migration or one after it does not run: 004_needs_the_row" in err
    assert files(three) == {"001_a", "002_b", "003_c", "004_needs_the_row"}


def test_files_that_are_not_in_git_are_not_squashed(command: Command, three: Folder) -> None:
    three.file("002_b").write_text(three.file("002_b").read_text() + "# more\n")
    three.tables("d")
    code, _, err = command("migrate squash d")
    assert code == 1
    assert "Git does not have the current content of these files: 002_b.py, 004_d.py" in err
    assert files(three) == {"001_a", "002_b", "003_c", "004_d"}


def test_only_a_chain_without_branches_is_squashed(command: Command, three: Folder) -> None:
    assert "There is no migration before 001_a" in command("migrate squash a")[2]
    assert "no-such" in command("migrate squash no-such")[2]
    three.add("side", after="002")
    three.add("joined", after=("003", "004"))
    commit(three.path)
    for name in ("c", "joined"):
        assert "cannot be squashed" in command(f"migrate squash {name}")[2]
    assert command("migrate squash b")[0] == 0


def test_plain_alembic_works_on_a_squashed_folder(
    command: Command, three: Folder, engine: object, new_database: Callable[[], Database]
) -> None:
    from alembic import command as alembic
    from alembic.config import Config
    from my_service import migrations

    command("migrate latest")
    command("migrate squash c")
    (three.path / "env.py").write_text((Path(migrations.__file__).parent / "env.py").read_text())
    empty = new_database()
    for at in (empty.engine(), engine):
        config = Config()
        config.set_main_option("script_location", str(three.path))
        config.attributes["connection"] = at
        alembic.upgrade(config, "head")
    assert empty.tables() == {"a", "c"}
    assert empty.heads() == {"003"}


@pytest.mark.skipif(KIND == "sqlite", reason="only PostgreSQL builds indexes beside writers")
def test_a_concurrent_index_is_squashed_into_a_transaction(
    command: Command, folder: Folder, new_database: Callable[[], Database]
) -> None:
    folder.tables("a")
    body = 'op.create_index("a_id_idx", "a", ["id"], postgresql_concurrently=True)'
    folder.add("online", body, extra="transaction = False\n")
    commit(folder.path)
    assert command("migrate squash online")[0] == 0
    from my_service.migrate import run_migrations

    empty = new_database()
    run_migrations(empty.engine(), config=folder.config()).raise_for_error()
    assert ("a_id_idx",) in empty.ask("SELECT indexname FROM pg_indexes WHERE tablename = 'a'")
