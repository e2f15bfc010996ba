"""The folder of migrations is loaded once for a run, whatever follows in it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from shutil import rmtree

import pytest
import sqlalchemy as sa
from my_service.migrate import (
    BackfillProgress,
    Observer,
    get_migration_status,
    lint_pending,
    migrate_up,
    rollback_migrations,
    run_migrations,
    take_over,
    wait_for_gate,
)

from engine.support import Folder, count_imports, create

ROW = 'op.execute("INSERT INTO a (id) VALUES (1)")'
FILL = """
from my_service.migrate import Backfill

phase = "backfill"
backfill = Backfill(table="a", set={"n": "id"})
"""
COLUMN = 'op.add_column("a", sa.Column("n", sa.Integer))'
NO_COLUMN = 'op.drop_column("a", "n")'
CONTRACT = 'phase = "contract"'
REMEMBERS = 'left = ["a"]\n'


@pytest.fixture
def imports(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file was imported, by its name."""
    return count_imports(monkeypatch)


def once(folder: Folder) -> dict[str, int]:
    """Each file once."""
    return {path.stem: 1 for path in folder.versions.glob("*.py")}


def test_a_run_with_a_backfill_a_contract_and_verify_imports_each_file_once(
    engine: sa.Engine, folder: Folder, imports: Counter[str]
) -> None:
    folder.add("a", [create("a"), COLUMN, ROW], 'op.drop_table("a")')
    folder.add("fill", extra=FILL)
    folder.add("later", extra=CONTRACT)
    config = folder.config(verify="after", backfill_pause=0.0)
    result = run_migrations(engine, config=config).raise_for_error()
    assert result.migrations == ("001_a", "002_fill", "003_later")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT n FROM a").all() == [(1,)]
    assert imports == once(folder)


def test_a_file_that_is_edited_during_a_backfill_runs_as_it_is_then(
    engine: sa.Engine, folder: Folder
) -> None:
    class Editor(Observer):
        def backfill_progressed(self, progress: BackfillProgress) -> None:
            later.write_text(later.read_text().replace("pass", create("edited"), 1))

    folder.add("a", [create("a"), COLUMN, ROW], 'op.drop_table("a")')
    folder.add("fill", extra=FILL)
    folder.add("later", extra=CONTRACT)
    (later,) = folder.versions.glob("*_later.py")
    config = folder.config(backfill_pause=0.0, observer=Editor())
    run_migrations(engine, config=config).raise_for_error()
    assert sa.inspect(engine).has_table("edited")
    status = get_migration_status(engine, config=config)
    assert [migration.changed for migration in status.completed] == [False] * 3


def test_a_folder_that_vanishes_during_a_backfill_is_the_result_of_the_run(
    engine: sa.Engine, folder: Folder
) -> None:
    class Remover(Observer):
        def backfill_progressed(self, progress: BackfillProgress) -> None:
            rmtree(folder.versions, ignore_errors=True)

    folder.add("a", [create("a"), COLUMN, ROW], 'op.drop_table("a")')
    folder.add("fill", extra=FILL)
    folder.add("later", extra=CONTRACT)
    config = folder.config(backfill_pause=0.0, observer=Remover())
    result = run_migrations(engine, config=config)
    assert result.error is not None and result.error.code == "folder-missing"
    assert result.error.impact == "What was done before it stays."
    assert result.migrations == ("001_a", "002_fill")


def test_each_other_command_imports_each_file_once(
    engine: sa.Engine, folder: Folder, imports: Counter[str]
) -> None:
    folder.tables("a", "b")
    config = folder.config(verify="after")
    migrate_up(engine, config=config).raise_for_error()
    assert imports == once(folder)
    imports.clear()
    rollback_migrations(engine, config=config).raise_for_error()
    assert imports == once(folder)
    imports.clear()
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE alembic_version")
        connection.exec_driver_sql("DROP TABLE migration_history")
        connection.exec_driver_sql("CREATE TABLE a (id INTEGER PRIMARY KEY)")
    taken = take_over(engine, "a", accept_differences="no backup", config=config)
    assert taken.migrations == ("001_a",)
    assert imports == once(folder)


def test_linting_before_a_run_imports_each_file_once(
    engine: sa.Engine, folder: Folder, imports: Counter[str]
) -> None:
    folder.tables("a")
    run_migrations(engine, config=folder.config()).raise_for_error()
    folder.tables("b")
    imports.clear()
    report = lint_pending(engine, config=folder.config())
    assert report is not None and report.linted == ("002_b",)
    assert imports == once(folder)


def test_waiting_for_the_gate_imports_each_file_once(
    engine: sa.Engine, folder: Folder, imports: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("my_service.migrate.status.GATE_POLL_SECONDS", 0.0)
    folder.add("a", [create("a"), COLUMN, ROW], 'op.drop_table("a")')
    folder.add("fill", extra=FILL)
    folder.add("later", extra=CONTRACT)
    config = folder.config(runs_backfills=False)
    assert run_migrations(engine, config=config).held_back == ("003_later",)
    imports.clear()
    assert wait_for_gate(engine, 0.1, config=config).held_back == ("003_later",)
    assert imports == once(folder)


def test_state_of_a_file_does_not_reach_the_run_that_verifies(
    engine: sa.Engine, folder: Folder, imports: Counter[str]
) -> None:
    up = 'op.create_table(left.pop(), sa.Column("id", sa.Integer, primary_key=True))'
    folder.add("a", up, 'op.drop_table("a")', extra=REMEMBERS)
    run_migrations(engine, config=folder.config(verify="after")).raise_for_error()
    assert imports == {"001_a": 2}


def test_a_folder_that_is_missing_is_the_result_of_a_run_and_not_raised(
    engine: sa.Engine, folder: Folder
) -> None:
    config = replace(folder.config(verify="after"), directory=folder.path / "nowhere")
    for act in (run_migrations, migrate_up, rollback_migrations):
        assert act(engine, config=config).error.code == "folder-missing"
