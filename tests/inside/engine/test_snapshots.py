"""Snapshots in files, and the differences of two of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa
from my_service.migrate.drift import Item, Snapshot, compare, find_bookkeeping, take_snapshot
from my_service.migrate.drift.diff import Change

from engine.support import KIND, Database, Folder

SCHEMA = "main" if KIND == "sqlite" else "public"
ITEMS = (
    Item("column", "users.name", "type: text\ndefault: ''"),
    Item("function", "f()", "body:\n  BEGIN\n  \n    -- fact: no fact\n  END"),
    Item("table", "users"),
    Item("table", "we\\ird\nname", "comment: a: b"),
)
SNAPSHOT = Snapshot("PostgreSQL 18", "public", ITEMS)


def test_a_snapshot_is_equal_after_writing_and_reading(
    engine: sa.Engine, database: Database
) -> None:
    database.ask("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT DEFAULT 'a\nb')")
    database.ask("CREATE VIEW v AS SELECT id FROM users")
    with engine.connect() as connection:
        snapshot = take_snapshot(connection, SCHEMA)
    assert len(snapshot.items) > 4
    again = Snapshot.from_text(snapshot.to_text())
    assert again == snapshot
    assert again.fingerprint == snapshot.fingerprint


def test_a_snapshot_is_written_as_readable_text() -> None:
    assert SNAPSHOT.to_text() == (
        "# Schema snapshot 1: PostgreSQL 18, schema public\n"
        "column: users.name\n"
        "    type: text\n"
        "    default: ''\n"
        "function: f()\n"
        "    body:\n"
        "      BEGIN\n"
        "\n"
        "        -- fact: no fact\n"
        "      END\n"
        "table: users\n"
        "table: we\\\\ird\\nname\n"
        "    comment: a: b\n"
    )


def test_line_ends_and_trailing_blanks_of_a_snapshot_do_not_matter() -> None:
    text = SNAPSHOT.to_text().replace("\n", "\r\n")
    assert Snapshot.from_text(text) == SNAPSHOT
    stripped = "\n".join(line.rstrip() for line in SNAPSHOT.to_text().splitlines())
    assert Snapshot.from_text(stripped) == SNAPSHOT


@pytest.mark.parametrize("text", ["", "CREATE TABLE a ();", "# Schema snapshot 2: x, schema y\n"])
def test_a_text_that_is_not_a_snapshot_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a snapshot of a schema"):
        Snapshot.from_text(text)


def test_a_snapshot_line_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="has no name: 'nonsense'"):
        Snapshot.from_text(SNAPSHOT.to_text() + "nonsense\n")


@pytest.mark.parametrize("line", ["    type: text", "table: a\n      more of it", "table: a\n"])
def test_a_snapshot_line_without_an_item_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="belongs to nothing"):
        Snapshot.from_text(f"# Schema snapshot 1: SQLite 3, schema main\n{line}\n")


def test_facts_are_distinguished_from_lines_of_text() -> None:
    assert ITEMS[1].facts == {"body": "\nBEGIN\n\n  -- fact: no fact\nEND"}
    assert ITEMS[0].facts == {"type": "text", "default": "''"}


def test_snapshots_of_different_server_versions_are_not_compared() -> None:
    other = Snapshot("PostgreSQL 15", "public", ITEMS)
    with pytest.raises(
        ValueError, match="PostgreSQL 18 cannot be compared with one of PostgreSQL 15"
    ):
        compare(SNAPSHOT, other)


def test_a_missing_table_is_one_difference() -> None:
    items = (
        Item("column", "a.x", "type: text"),
        Item("constraint", "a.a_pkey", "definition: PRIMARY KEY (x)"),
        Item("index", "a_x_idx", "table: a\ndefinition: btree (x)"),
        Item("sequence", "a_x_seq", "start: 1\nowned by: a.x"),
        Item("table", "a"),
        Item("trigger", "a.t", "definition: x"),
    )
    empty = Snapshot("PostgreSQL 18", "public", ())
    full = Snapshot("PostgreSQL 18", "public", items)
    assert [str(one) for one in compare(full, empty)] == ["table a is missing"]
    assert [str(one) for one in compare(empty, full, expected_by="the models")] == [
        "table a is there; the models do not make it"
    ]


def test_a_difference_has_kind_name_change_fact_and_both_values() -> None:
    found = Snapshot("PostgreSQL 18", "public", (Item("column", "users.name", "type: text"),))
    [one] = compare(Snapshot("PostgreSQL 18", "public", ITEMS[:1]), found)
    assert (one.kind, one.name, one.change, one.fact) == (
        "column",
        "users.name",
        Change.DIFFERENT,
        "default",
    )
    assert (one.expected, one.found) == ("''", None)
    assert one.sentence == "column users.name has no default; the migrations give ''"


def test_bookkeeping_tables_are_recognised(engine: sa.Engine, database: Database) -> None:
    for name in ("alembic_version", "knex_migrations", "flyway_schema_history", "users"):
        database.ask(f"CREATE TABLE {name} (id INTEGER)")
    with engine.connect() as connection:
        assert find_bookkeeping(connection) == {
            "alembic_version": "Alembic",
            "flyway_schema_history": "Flyway",
            "knex_migrations": "Knex",
        }
        names = {item.name for item in take_snapshot(connection, SCHEMA).items}
    assert names == {"users", "users.id"}


def test_an_excluded_pattern_leaves_out_tables_views_and_their_indexes(
    engine: sa.Engine, database: Database
) -> None:
    for table in ("audit_log", "audit_x", "auditx", "users"):
        database.ask(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY)")
        database.ask(f"CREATE INDEX on_{table} ON {table} (id)")
    database.ask("CREATE VIEW audit_v AS SELECT 1 AS a")
    with engine.connect() as connection:
        items = take_snapshot(connection, SCHEMA, excluded=["audit_*"]).items
    tables = {item.name for item in items if item.kind in ("table", "view")}
    indexes = {item.name for item in items if item.kind == "index"}
    assert tables == {"auditx", "users"}
    assert indexes == {"on_auditx", "on_users"}


@pytest.mark.parametrize(
    ("pattern", "left_out"),
    [
        ("a?c", set()),
        ("a[b]c", {"a[b]c"}),
        ("a_c", set()),
        ("a%", {"a%"}),
        ("a*", {"abc", "a[b]c", "a%", "a\\"}),
        ("*c", {"abc", "a[b]c"}),
        ("a\\", {"a\\"}),
    ],
)
def test_only_an_asterisk_is_a_wildcard(
    engine: sa.Engine, folder: Folder, pattern: str, left_out: set[str]
) -> None:
    names = {"abc", "a[b]c", "a%", "a\\"}
    tables = sa.MetaData()
    for name in names:
        sa.Table(name, tables, sa.Column("id", sa.Integer))
    tables.create_all(engine)
    with engine.connect() as connection:
        items = take_snapshot(connection, SCHEMA, excluded=[pattern]).items
    kept = {item.name.strip('"') for item in items if item.kind == "table"}
    assert names - kept == left_out
    # ``migrate make`` leaves out the same.
    config = replace(folder.config(), excluded=(pattern,))
    assert {name for name in names if config.leaves_out(name)} == left_out
