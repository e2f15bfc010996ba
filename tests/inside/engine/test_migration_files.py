"""All files of the folder are checked before one of them runs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
import sqlalchemy as sa
from my_service.errors import ActionableError
from my_service.migrate import (
    get_migration_status,
    migrate_up,
    migration_sql,
    rollback_migrations,
    run_migrations,
)

from engine.support import Command, Database, Folder, create


def test_all_missing_files_are_named_before_anything_runs(
    engine: sa.Engine, folder: Folder, database: Database, command: Command
) -> None:
    folder.tables("a", "b", "c")
    run_migrations(engine, config=folder.config())
    folder.file("002_b").unlink()
    folder.file("003_c").unlink()
    folder.last = "001"
    folder.tables("d")
    before = database.all()
    for act in (run_migrations, rollback_migrations):
        error = act(engine, config=folder.config()).error
        assert error.problem == "Files of 2 applied migrations are missing: 002_b, 003_c"
    with pytest.raises(ActionableError, match="Files of 2 applied"):
        migration_sql(engine, config=folder.config())
    assert database.all() == before
    changed = folder.file("001_a")
    changed.write_text(changed.read_text() + "CHANGED = True\n")
    status = get_migration_status(engine, config=folder.config())
    assert str(status.problem) == str(error)
    assert [(m.name, m.missing) for m in status.completed] == [
        ("001_a", False),
        ("002_b", True),
        ("003_c", True),
    ]
    assert command("migrate status")[1].count("is missing.") == 2
    code, _, err = command("migrate latest")
    assert (code, err.count("\n"), "Traceback" in err) == (1, 3, False)


def test_a_missing_file_in_the_middle_is_named(engine: sa.Engine, folder: Folder) -> None:
    folder.tables("a", "b", "c")
    folder.file("002_b").unlink()
    error = run_migrations(engine, config=folder.config()).error
    assert error.problem == "003_c follows revision '002', which no file has."


def test_a_database_revision_without_file_and_history_is_named(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("a")
    run_migrations(engine, config=folder.config())
    database.ask("UPDATE alembic_version SET version_num = 'elsewhere'")
    error = run_migrations(engine, config=folder.config()).error
    assert error.problem == "Files of 1 applied migration are missing: revision elsewhere"
    newest = get_migration_status(engine, config=folder.config()).completed[-1]
    assert (newest.revision, newest.missing) == ("elsewhere", True)


def test_a_changed_file_is_reported_by_status_and_refused_by_latest(
    engine: sa.Engine, folder: Folder, command: Command, database: Database
) -> None:
    folder.tables("a", "b")
    run_migrations(engine, config=folder.config())
    path = folder.file("001_a")
    path.write_text(path.read_text() + "CHANGED = True\n")
    assert "001_a changed after it was applied." in command("migrate status")[1]
    for pending in (False, True):
        if pending:
            folder.tables("c")
        error = run_migrations(engine, config=folder.config()).error
        assert error.problem == "1 migration changed after it was applied: 001_a"
        assert "migrate latest --allow-changed" in error.solution
        with pytest.raises(ActionableError, match="changed after it was applied"):
            migration_sql(engine, config=folder.config())
    assert database.tables() == {"a", "b"}
    assert command("migrate latest --allow-changed")[0] == 0
    assert database.tables() == {"a", "b", "c"}
    assert "changed" not in command("migrate status")[1]


def test_the_newest_migration_may_be_edited_and_run_again(
    engine: sa.Engine, folder: Folder, command: Command, database: Database
) -> None:
    folder.tables("a", "b")
    command("migrate latest")
    path = folder.file("002_b")
    made = create("b")
    path.write_text(path.read_text().replace(made, f"{made}; {create('more')}"))
    again = "run it again: migrate down, then migrate latest"
    assert again in command("migrate latest")[2]
    assert again in str(get_migration_status(engine, config=folder.config()).problem)
    assert command("migrate down")[0] == 0
    assert command("migrate latest")[0] == 0
    assert database.tables() == {"a", "b", "more"}
    older = folder.file("001_a")
    older.write_text(older.read_text() + "CHANGED = True\n")
    assert "run it again" not in command("migrate latest")[2]


def test_a_failed_run_does_not_accept_changed_files(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("a")
    run_migrations(engine, config=folder.config())
    path = folder.file("001_a")
    path.write_text(path.read_text() + "CHANGED = True\n")
    folder.add("bad", "1 / 0")
    checksum = database.ask("SELECT checksum FROM migration_history")
    assert not run_migrations(engine, config=folder.config(), allow_changed=True).success
    assert database.ask("SELECT checksum FROM migration_history") == checksum


def test_different_line_ends_do_not_count_as_a_change(engine: sa.Engine, folder: Folder) -> None:
    folder.tables("a")
    run_migrations(engine, config=folder.config())
    path = folder.file("001_a")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert run_migrations(engine, config=folder.config()).success
    assert not get_migration_status(engine, config=folder.config()).completed[0].changed


def test_a_renamed_file_is_the_same_migration(engine: sa.Engine, folder: Folder) -> None:
    folder.tables("a")
    run_migrations(engine, config=folder.config())
    folder.file("001_a").rename(folder.file("001_better_name"))
    assert run_migrations(engine, config=folder.config()).success
    (only,) = get_migration_status(engine, config=folder.config()).completed
    assert not only.changed and not only.missing


def edit(old: str, new: str) -> Callable[[str], str]:
    """Replace some text of a file."""
    return lambda text: text.replace(old, new)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (edit("import sqlalchemy", "import no_such_module"), "does not import: ModuleNotFound"),
        (edit("def upgrade", "def (upgrade"), "does not import: SyntaxError"),
        (edit("def upgrade", "def upgarde"), "002_b.py has no upgrade."),
        (edit("def downgrade", "def downgarde"), "002_b.py has no downgrade."),
        (edit("\nrevision", "\nrevison"), "002_b.py has no revision."),
        (
            edit("'002'\ndown_revision = '001'", "'001'\ndown_revision = None"),
            "001_a and 002_b have the same revision '001'.",
        ),
        (
            edit("\nrevision = '002'", f"\nrevision = {'x' * 33!r}"),
            "which is too long or is not a text",
        ),
        (edit("'001'", "'nowhere'"), "002_b follows revision 'nowhere', which no file has."),
        (edit("= '001'", "= '002'"), "do not form a chain"),
    ],
)
def test_an_invalid_file_stops_the_run_before_the_first_migration(
    engine: sa.Engine,
    folder: Folder,
    database: Database,
    change: Callable[[str], str],
    problem: str,
) -> None:
    folder.tables("a", "b")
    path = folder.file("002_b")
    path.write_text(change(path.read_text()))
    error = run_migrations(engine, config=folder.config()).error
    assert problem in error.problem
    assert all(len(line.splitlines()) == 1 for line in (error.problem, error.impact))
    assert database.schema() == []
    with pytest.raises(ActionableError, match=re.escape(error.problem)):
        get_migration_status(engine, config=folder.config())


def test_files_that_are_not_migrations_are_ignored(engine: sa.Engine, folder: Folder) -> None:
    folder.tables("a")
    (folder.versions / "__init__.py").write_text("")
    (folder.versions / ".hidden.py").write_text("1 / 0")
    (folder.versions / "notes.txt").write_text("")
    assert run_migrations(engine, config=folder.config()).migrations == ("001_a",)


def test_merged_branches_are_rolled_back_in_reverse_order_of_execution(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("base", "left")
    run_migrations(engine, config=folder.config())
    folder.last = "001"
    folder.tables("right")
    folder.add("both", after=("002", "003"))
    assert run_migrations(engine, config=folder.config()).migrations == ("003_right", "004_both")
    undone = rollback_migrations(engine, everything=True, config=folder.config())
    assert undone.migrations == ("004_both", "003_right", "002_left", "001_base")
    assert database.tables() == set()


def test_a_migration_that_another_depends_on_runs_once(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("a")
    folder.add("b", create("b"), 'op.drop_table("b")', after="001")
    folder.add("c", create("c"), 'op.drop_table("c")', after="001", extra='depends_on = "002"\n')
    folder.add("join", after=("002", "003"))
    ran = [name for _ in range(4) for name in migrate_up(engine, config=folder.config()).migrations]
    assert ran == ["001_a", "002_b", "003_c", "004_join"]
    assert database.tables() == {"a", "b", "c"}
    undone = rollback_migrations(engine, everything=True, config=folder.config())
    assert undone.raise_for_error().migrations == ("004_join", "003_c", "002_b", "001_a")


def test_a_missing_dependency_is_named(engine: sa.Engine, folder: Folder) -> None:
    folder.add("a", extra='depends_on = "nowhere"\n')
    error = run_migrations(engine, config=folder.config()).error
    assert error.code == "parent-missing"
    assert error.problem == "001_a depends on revision 'nowhere', which no file has."


def test_system_exit_during_the_import_is_an_error(engine: sa.Engine, folder: Folder) -> None:
    folder.add("exits", extra="raise SystemExit(0)\n")
    assert run_migrations(engine, config=folder.config()).error.code == "file-does-not-import"


@pytest.mark.parametrize(
    "form", ["async def upgrade", "def upgrade() -> None:\n    yield\n\ndef f"]
)
def test_an_async_or_generator_upgrade_is_refused(
    engine: sa.Engine, folder: Folder, form: str
) -> None:
    name = folder.add("idle", create("a"))
    path = folder.file(name)
    path.write_text(path.read_text().replace("def upgrade", form, 1))
    error = run_migrations(engine, config=folder.config()).error
    assert error.code == "body-is-not-plain" and "001_idle" in error.problem


def test_formatting_and_comments_do_not_change_the_checksum_and_sql_does(
    engine: sa.Engine, folder: Folder
) -> None:
    name = folder.add("a", 'op.execute("CREATE TABLE a (id INTEGER)")')
    run_migrations(engine, config=folder.config())
    path = folder.file(name)
    text = path.read_text()
    path.write_text(
        text.replace('"""a."""', '"""Said better."""')
        .replace(
            "import sqlalchemy as sa\nfrom alembic import op",
            "from alembic import op\nimport sqlalchemy as sa  # sorted",
        )
        .replace(
            '("CREATE TABLE a (id INTEGER)")',
            "(\n        'CREATE TABLE a '\n        '(id INTEGER)'\n    )",
        )
    )
    assert path.read_text() != text
    assert run_migrations(engine, config=folder.config()).success
    assert not get_migration_status(engine, config=folder.config()).completed[0].changed
    path.write_text(text.replace("id INTEGER", "id  INTEGER"))
    assert run_migrations(engine, config=folder.config()).error.code == "files-changed"


def test_checksums_of_0_1_0_are_still_accepted(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    (name,) = folder.tables("a")
    run_migrations(engine, config=folder.config())
    old = hashlib.sha256(folder.file(name).read_bytes()).hexdigest()
    database.ask(f"UPDATE migration_history SET checksum = '{old}'")
    assert run_migrations(engine, config=folder.config()).success
    assert not get_migration_status(engine, config=folder.config()).completed[0].changed


def test_a_missing_folder_is_an_error(engine: sa.Engine, folder: Folder) -> None:
    config = replace(folder.config(), directory=folder.path / "nowhere")
    assert run_migrations(engine, config=config).error.code == "folder-missing"


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"# \xe9\n", "file-unreadable"), (b"revision = '\n", "file-does-not-import")],
)
def test_an_unreadable_file_is_named(
    engine: sa.Engine, folder: Folder, content: bytes, code: str
) -> None:
    folder.file("001_odd").write_bytes(content)
    error = run_migrations(engine, config=folder.config()).error
    assert error.code == code and "001_odd.py" in error.problem


def test_commands_name_a_missing_file_from_history_and_exit_1(
    engine: sa.Engine, folder: Folder, command: Command
) -> None:
    folder.tables("a", "b", "c")
    run_migrations(engine, config=folder.config())
    folder.file("002_b").unlink()
    folder.add("d", extra='phase = "contract"\n')
    status = get_migration_status(engine, config=folder.config())
    assert [m.name for m in status.completed if m.missing] == ["002_b"]
    assert (status.pending, status.phases) == (("004_d",), {"004_d": "contract"})
    for word in ("list", "status", "latest"):
        code, out, err = command(f"migrate {word}")
        assert (code, "002_b" in out + err) == (1, True), word


def test_status_marks_missing_and_changed_files_of_a_broken_chain(
    engine: sa.Engine, folder: Folder
) -> None:
    folder.tables("a", "b", "c")
    run_migrations(engine, config=folder.config())
    folder.file("002_b").unlink()
    path = folder.file("001_a")
    path.write_text(path.read_text() + "CHANGED = True\n")
    status = get_migration_status(engine, config=folder.config())
    assert [(m.name, m.changed, m.missing) for m in status.completed] == [
        ("001_a", True, False),
        ("002_b", False, True),
        ("003_c", False, False),
    ]
    assert status.problem is not None and status.problem.code == "files-missing"
