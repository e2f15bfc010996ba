"""Two columns stay equal while old and new code both write."""

from __future__ import annotations

import random

import pytest
import sqlalchemy as sa
from my_service.migrate import rollback_migrations, run_migrations

from engine.support import KIND, Database, Folder

IMPORT = "from my_service.migrate import keep_in_step, stop_keeping\n"


def in_step(
    engine: sa.Engine, folder: Folder, old: str = "TEXT", new: str = "TEXT", how: str = ""
) -> None:
    """A table with a column ``a`` and, in step with it, a column ``b``; one row is older."""
    not_null = " NOT NULL" if KIND == "postgresql" else ""
    folder.add(
        "table",
        [
            f'op.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a {old}{not_null})")',
            "op.execute(\"INSERT INTO t VALUES (0, '1')\")",
        ],
        'op.drop_table("t")',
    )
    folder.add(
        "expand",
        [f'op.execute("ALTER TABLE t ADD COLUMN b {new}")', f'keep_in_step("t", "a", "b"{how})'],
        ['stop_keeping("t", "a", "b")', 'op.drop_column("t", "b")'],
        extra=IMPORT,
    )
    run_migrations(engine, config=folder.config()).raise_for_error()


def test_a_write_to_either_column_updates_the_other(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    in_step(engine, folder)
    database.ask("INSERT INTO t (id, a) VALUES (1, 'old')")
    database.ask("INSERT INTO t (id, b) VALUES (2, 'new')")
    database.ask("INSERT INTO t (id, a, b) VALUES (3, 'x', 'both')")
    rows = "SELECT id, a, b FROM t ORDER BY id"
    assert database.ask(rows) == [
        (0, "1", None),
        (1, "old", "old"),
        (2, "new", "new"),
        (3, "both", "both"),
    ]
    database.ask("UPDATE t SET b = 'n' WHERE id = 1")
    database.ask("UPDATE t SET a = 'o' WHERE id = 2")
    database.ask("UPDATE t SET a = 'o', b = 'n' WHERE id = 3")
    database.ask("UPDATE t SET a = a WHERE id = 0")  # any update fills in what is missing
    assert database.ask(rows) == [(0, "1", "1"), (1, "n", "n"), (2, "o", "o"), (3, "n", "n")]


def test_expressions_convert_between_two_types_in_both_directions(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    how = ", to_new='CAST(a AS INTEGER) * 100', to_old='CAST(b / 100 AS VARCHAR(9))'"
    in_step(engine, folder, new="INTEGER", how=how)
    database.ask("INSERT INTO t (id, a) VALUES (1, '7')")
    database.ask("INSERT INTO t (id, b) VALUES (2, 950)")
    rows = "SELECT id, a, b FROM t WHERE id > 0 ORDER BY id"
    # "9" cannot represent 950: the loss of the old column is not copied back.
    assert database.ask(rows) == [(1, "7", 700), (2, "9", 950)]
    database.ask("UPDATE t SET a = '9' WHERE id = 2")
    assert database.ask(rows)[1] == (2, "9", 950)
    database.ask("UPDATE t SET a = '8' WHERE id = 2")
    assert database.ask(rows)[1] == (2, "8", 800)


def test_filling_the_new_column_does_not_change_the_old_one(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    in_step(engine, folder, how=', to_new="lower(a)"')
    database.ask("UPDATE t SET a = 'Ada'")
    database.ask("UPDATE t SET b = lower(a)")
    assert database.ask("SELECT a, b FROM t") == [("Ada", "ada")]


def test_an_expression_can_contain_colons_and_percent_signs(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    in_step(engine, folder, how=""", to_new="a || ' 12:30 %s'" """)
    database.ask("INSERT INTO t (id, a) VALUES (1, 'x')")
    assert database.ask("SELECT b FROM t WHERE id = 1") == [("x 12:30 %s",)]


@pytest.mark.parametrize("long", [False, True])
def test_stop_keeping_removes_triggers_and_functions(
    engine: sa.Engine, folder: Folder, database: Database, long: bool
) -> None:
    in_step(engine, folder)
    if long:
        name = "b" * 60
        folder.add(
            "long",
            [f"op.execute('ALTER TABLE t ADD COLUMN {name} TEXT')", f'keep_in_step("t", "a", "{name}")'],
            [f'stop_keeping("t", "a", "{name}")', f'op.drop_column("t", "{name}")'],
            extra=IMPORT,
        )  # fmt: skip
        run_migrations(engine, config=folder.config()).raise_for_error()
        database.ask("INSERT INTO t (id, a) VALUES (1, 'x')")
        assert database.ask(f"SELECT {name} FROM t WHERE id = 1") == [("x",)]
    rollback_migrations(engine, everything=True, config=folder.config()).raise_for_error()
    left = {
        "sqlite": "SELECT name FROM sqlite_schema WHERE type = 'trigger'",
        "postgresql": "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    }
    assert database.ask(left[KIND]) == []


def test_random_writes_to_both_columns_leave_them_equal(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    in_step(engine, folder)
    chance = random.Random(5)
    raw = database.engine().raw_connection()
    expected: dict[int, str] = {0: "1"}
    cursor = raw.cursor()
    for number in range(300):
        column = chance.choice("ab")
        if chance.random() < 0.4:
            key = number + 1
            cursor.execute(f"INSERT INTO t (id, {column}) VALUES ({key}, 'v{number}')")
        else:
            key = chance.choice(list(expected))
            cursor.execute(f"UPDATE t SET {column} = 'v{number}' WHERE id = {key}")
        expected[key] = f"v{number}"
    cursor.execute("UPDATE t SET b = a WHERE b IS NULL")
    cursor.execute("SELECT id, a, b FROM t ORDER BY id")
    found = cursor.fetchall()
    raw.rollback()
    raw.close()
    assert [tuple(row) for row in found] == [(k, v, v) for k, v in sorted(expected.items())]
