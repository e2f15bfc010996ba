"""``migrate latest --sql`` prints what would run, for psql and sqlite3."""

from __future__ import annotations

from collections.abc import Callable
from shutil import which

import pytest
import sqlalchemy as sa
from my_service.migrate import migration_sql, rollback_migrations, run_migrations

from engine.shell import address, piped, psql, run_script
from engine.support import KIND, Command, Database, Folder, create


@pytest.fixture
def two_databases(new_database: Callable[[], Database]) -> tuple[Database, Database]:
    """Two empty databases."""
    return new_database(), new_database()


def same(one: Database, other: Database) -> None:
    """Both have the same schema, version and history, except times."""
    assert one.all() == other.all()
    columns = "revision, checksum, rolled_back_at IS NULL"
    query = f"SELECT {columns} FROM migration_history ORDER BY id"
    assert one.ask(query) == other.ask(query)


@pytest.mark.parametrize("extra", ["", "transaction = False\n"])
def test_the_printed_sql_gives_the_same_schema_and_history(
    two_databases: tuple[Database, Database], folder: Folder, extra: str
) -> None:
    by_engine, by_hand = two_databases
    folder.tables("a", "b")
    rounds: list[Callable[[], object]] = [
        lambda: folder.add("alone", 'op.create_index("a_idx", "a", ["id"])', extra=extra),
        lambda: folder.add(
            "rows",
            ["op.bulk_insert(sa.table('a', sa.column('id', sa.Integer)), [{'id': 1}, {'id': 2}])"],
        ),
        lambda: folder.add("text", "op.execute(\"CREATE TABLE t AS SELECT 'it''s; -- x' AS w\")"),
    ]
    for step in (lambda: None, *rounds):
        step()
        engine = by_hand.engine()
        before = by_hand.all()
        sql = migration_sql(engine, config=folder.config())
        engine.dispose()
        assert by_hand.all() == before
        run_script(by_hand, sql)
        engine = by_engine.engine()
        run_migrations(engine, config=folder.config()).raise_for_error()
        engine.dispose()
        same(by_engine, by_hand)
    assert by_hand.ask("SELECT count(*) FROM a") == [(2,)]
    engine = by_hand.engine()
    assert run_migrations(engine, config=folder.config()).migrations == ()
    assert migration_sql(engine, config=folder.config()) == ""
    engine.dispose()


@pytest.mark.parametrize("later_columns", [(), ("note", "details", "other_runs")])
def test_printed_sql_records_stamped_migrations_too(
    two_databases: tuple[Database, Database], folder: Folder, later_columns: tuple[str, ...]
) -> None:
    folder.tables("a", "b")
    for database in two_databases:
        engine = database.engine()
        run_migrations(engine, config=folder.config())
        engine.dispose()
        database.ask("DELETE FROM migration_history")
        for column in later_columns:  # as in a table of an older version
            database.ask(f"ALTER TABLE migration_history DROP COLUMN {column}")
    folder.tables("c")
    by_engine, by_hand = (database.engine() for database in two_databases)
    run_script(two_databases[1], migration_sql(by_hand, config=folder.config()))
    run_migrations(by_engine, config=folder.config()).raise_for_error()
    by_engine.dispose()
    by_hand.dispose()
    assert [row[1:] for row in two_databases[0].history()] == [
        row[1:] for row in two_databases[1].history()
    ]
    same(*two_databases)


@pytest.mark.skipif(KIND == "sqlite" and not which("sqlite3"), reason="there is no sqlite3")
def test_a_printed_script_that_fails_exits_with_an_error_and_rolls_back(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.add("fails", [create("a"), create("taken"), create("b")])
    sql = migration_sql(engine, config=folder.config())
    engine.dispose()
    database.ask("CREATE TABLE taken (id INTEGER)")
    shell = ["sqlite3"] if KIND == "sqlite" else [psql(), "-X", "-q"]
    done = piped(*shell, address(database), sql=sql)
    assert done.returncode != 0
    assert "already exists" in done.stderr
    assert sa.inspect(database.engine()).get_table_names() == ["taken"]


def test_a_migration_that_cannot_be_printed_is_an_error(command: Command, folder: Folder) -> None:
    folder.add("bad", "1 / 0")
    code, out, err = command("migrate latest --sql")
    assert (code, out) == (1, "")
    assert "ZeroDivisionError" in err


@pytest.mark.skipif(KIND != "sqlite", reason="this is SQLite's")
def test_triggers_and_repeated_rows_are_printed_as_often_as_they_ran(
    two_databases: tuple[Database, Database], folder: Folder
) -> None:
    folder.add(
        "a",
        [
            create("a"),
            "op.execute('CREATE TABLE log (n INTEGER)')",
            "op.execute('CREATE TRIGGER t AFTER INSERT ON a BEGIN"
            " INSERT INTO log VALUES (new.id); UPDATE log SET n = n + 1; END')",
            "op.execute('-- a remark first\\nINSERT INTO a VALUES (1)')",
            "log = sa.table('log', sa.column('n'))",
            "op.bulk_insert(log, [{'n': 5}, {'n': 5}])",
            "op.execute('INSERT INTO log VALUES (7)')",
            "op.execute('INSERT INTO log VALUES (7)')",
            "op.execute('PRAGMA user_version = 3')",
        ],
    )
    by_engine, by_hand = (database.engine() for database in two_databases)
    run_script(two_databases[1], migration_sql(by_hand, config=folder.config()))
    run_migrations(by_engine, config=folder.config()).raise_for_error()
    by_engine.dispose()
    by_hand.dispose()
    for query in ("SELECT n FROM log ORDER BY n", "PRAGMA user_version"):
        assert two_databases[0].ask(query) == two_databases[1].ask(query)
    same(*two_databases)


@pytest.mark.skipif(KIND != "sqlite", reason="this is SQLite's")
def test_a_printed_table_rebuild_keeps_the_rows_that_refer_to_it(
    two_databases: tuple[Database, Database], folder: Folder
) -> None:
    folder.add("parents", [create("a"), "op.execute('INSERT INTO a VALUES (1)')"])
    folder.add(
        "children",
        [
            "op.execute('CREATE TABLE child (a_id INTEGER REFERENCES a (id) ON DELETE CASCADE)')",
            "op.execute('INSERT INTO child VALUES (1)')",
        ],
    )
    folder.add(
        "rebuild",
        [
            'with op.batch_alter_table("a") as batch:',
            '    batch.add_column(sa.Column("x", sa.Text))',
            '    batch.alter_column("id", type_=sa.BigInteger)',
        ],
    )
    by_engine, by_hand = (database.engine() for database in two_databases)
    run_script(two_databases[1], migration_sql(by_hand, config=folder.config()))
    run_migrations(by_engine, config=folder.config()).raise_for_error()
    by_engine.dispose()
    by_hand.dispose()
    assert two_databases[1].ask("SELECT count(*) FROM child") == [(1,)]
    same(*two_databases)


def test_printed_sql_runs_after_a_full_rollback_and_keeps_every_value(
    engine: sa.Engine, folder: Folder, new_database: Callable[[], Database], database: Database
) -> None:
    folder.add(
        "values",
        [
            'op.execute("CREATE TABLE v (t TEXT, f FLOAT)  -- remark")',
            't = sa.table("v", sa.column("t", sa.String), sa.column("f", sa.Float))',
            'op.bulk_insert(t, [{"t": "a\\tb; -- c\'s", "f": 0.1 + 0.2}])',
        ],
        'op.execute("DROP TABLE v")',
    )
    run_migrations(engine, config=folder.config()).raise_for_error()
    rollback_migrations(engine, everything=True, config=folder.config()).raise_for_error()
    run_script(database, migration_sql(engine, config=folder.config()))
    assert database.ask("SELECT t, f FROM v") == [("a\tb; -- c's", 0.1 + 0.2)]
    assert run_migrations(engine, config=folder.config()).migrations == ()
