"""SQLite rebuilds tables to alter them; the rows that refer to them stay."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from my_service.errors import ActionableError
from my_service.migrate import get_lock_holder, run_migrations, unlock
from my_service.migrate.lock import migration_lock

from engine.support import KIND, Database, Folder, create

pytestmark = pytest.mark.skipif(KIND != "sqlite", reason="this is SQLite's")

REBUILD = [
    'with op.batch_alter_table("parents") as batch:',
    '    batch.alter_column("name", type_=sa.String(99), existing_type=sa.String(9))',
]


@pytest.fixture
def families(database: Database) -> None:
    """Parents with ON DELETE CASCADE children."""
    for statement in (
        "CREATE TABLE parents (id INTEGER PRIMARY KEY, name VARCHAR(9))",
        "CREATE TABLE children (id INTEGER PRIMARY KEY,"
        " parent_id INTEGER NOT NULL REFERENCES parents (id) ON DELETE CASCADE)",
        "INSERT INTO parents VALUES (1, 'Ada')",
        "INSERT INTO children VALUES (1, 1), (2, 1)",
    ):
        database.ask(statement)


@pytest.mark.usefixtures("families")
@pytest.mark.parametrize("extra", ["", "transaction = False\n"])
def test_rebuilding_a_table_keeps_the_rows_that_refer_to_it(
    engine: sa.Engine, folder: Folder, database: Database, extra: str
) -> None:
    folder.add("rebuild", REBUILD, extra=extra)
    run_migrations(engine, config=folder.config()).raise_for_error()
    assert "VARCHAR(99)" in str(database.schema())
    assert database.ask("SELECT count(*) FROM children") == [(2,)]
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


@pytest.mark.usefixtures("families")
def test_a_rebuild_that_breaks_a_foreign_key_is_rolled_back(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("a")
    run_migrations(engine, config=folder.config())
    before = database.all()
    folder.add("rebuild", [*REBUILD, "op.execute('DELETE FROM parents')"])
    folder.tables("b")
    error = run_migrations(engine, config=folder.config()).error
    assert error.problem == (
        "002_rebuild: 2 rows refer to missing rows, the first from children to parents."
    )
    assert database.all() == before
    assert database.ask("SELECT count(*) FROM parents") == [(1,)]


def test_a_run_waits_for_a_writing_application_and_then_fails(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("a")
    with sa.create_engine(database.address, poolclass=sa.NullPool).connect() as writer:
        writer.exec_driver_sql("BEGIN IMMEDIATE")
        error = run_migrations(engine, config=folder.config(lock_timeout=0.3)).error
        assert "database is locked" in error.problem
    assert run_migrations(engine, config=folder.config()).success


def test_unlock_cannot_end_the_lock_of_sqlite_and_says_what_to_do(
    engine: sa.Engine,
) -> None:
    assert unlock(engine) is None
    with migration_lock(engine, 1):
        holder = get_lock_holder(engine)
        assert holder is not None
        with pytest.raises(ActionableError, match="SQLite cannot end") as refused:
            unlock(engine)
    assert refused.value.solution == f"End the process: kill {holder.process}"


def test_a_lock_file_that_cannot_be_written_is_an_error(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("a")
    Path(f"{sa.make_url(database.address).database}-migrate").mkdir()
    error = run_migrations(engine, config=folder.config()).error
    assert "-migrate cannot be written" in error.problem
    assert database.tables() == set()


def test_orphaned_rows_from_before_are_not_counted(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.add(
        "family",
        [
            create("parent"),
            'op.create_table("child", sa.Column("p", sa.Integer, sa.ForeignKey("parent.id")))',
        ],
    )
    run_migrations(engine, config=folder.config()).raise_for_error()
    raw = sqlite3.connect(str(engine.url.database))
    raw.execute("INSERT INTO child VALUES (7)")
    raw.commit()
    raw.close()
    folder.tables("later")
    run_migrations(engine, config=folder.config()).raise_for_error()
    folder.add(
        "breaks", 'op.execute("INSERT INTO child VALUES (8)")', extra="transaction = False\n"
    )
    error = run_migrations(engine, config=folder.config()).error
    assert "1 row refers to missing rows" in error.problem
    assert "Not counted: 1 row orphaned before." in error.impact
    assert "runs outside a transaction: its changes before the error remain" in error.impact
    assert database.ask("SELECT count(*) FROM child") == [(2,)]


def test_new_orphaned_rows_are_found_even_if_older_ones_were_removed(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    for statement in (
        "CREATE TABLE users (id INTEGER PRIMARY KEY)",
        "CREATE TABLE posts (id INTEGER PRIMARY KEY, user INTEGER REFERENCES users (id))",
        "CREATE TABLE replies (post INTEGER REFERENCES posts (id))",
        "INSERT INTO posts VALUES (1, 7)",
        "INSERT INTO replies VALUES (1)",
    ):
        database.ask(statement)
    rename = [f"op.rename_table('{name}', 'old_{name}')" for name in ("users", "posts")]
    folder.add("renames", rename)
    run_migrations(engine, config=folder.config()).raise_for_error()
    ids = "SELECT id FROM old_users"
    folder.add("cleans", f'op.execute("DELETE FROM old_posts WHERE user NOT IN ({ids})")')
    error = run_migrations(engine, config=folder.config()).error
    assert "1 row refers to missing rows, the first from replies to old_posts" in error.problem
    assert "Not counted" not in error.impact
    assert database.ask("SELECT count(*) FROM old_posts") == [(1,)]
