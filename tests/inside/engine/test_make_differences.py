"""``migrate make`` writes and prints the differences between the models and the database."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from my_service.errors import ActionableError
from my_service.migrate import make_migration, rollback_migrations, run_migrations
from sqlalchemy.dialects import postgresql, sqlite

from engine.support import KIND, Command, Database, Folder, check_with_ruff
from engine.terminal import on_a_terminal

on_postgresql = pytest.mark.skipif(KIND != "postgresql", reason="a type of PostgreSQL")


def key() -> sa.Column[int]:
    """A primary key."""
    return sa.Column("id", sa.Integer, primary_key=True)


def made(engine: sa.Engine, folder: Folder, name: str = "change") -> str:
    """Make a migration; return its text."""
    new = make_migration(engine, name, config=folder.config())
    check_with_ruff(new.path)
    text: str = new.path.read_text()
    return text


def upgrade_downgrade_upgrade(engine: sa.Engine, folder: Folder) -> None:
    """The usual commands on a migration."""
    run_migrations(engine, config=folder.config()).raise_for_error()
    rollback_migrations(engine, config=folder.config()).raise_for_error()
    run_migrations(engine, config=folder.config()).raise_for_error()
    again = make_migration(engine, "again", config=folder.config())
    assert again.note == "the models and the database do not differ"


class Stored(sa.types.TypeDecorator[object]):  # type: ignore[misc, unused-ignore]
    """A class of the service that wraps a type of one database."""

    impl = postgresql.JSONB if KIND == "postgresql" else sqlite.JSON
    cache_ok = True


def test_dialect_types_are_written_with_their_import(engine: sa.Engine, folder: Folder) -> None:
    columns = [sa.Column("stored", Stored())]
    if KIND == "postgresql":
        columns.append(sa.Column("tags", postgresql.ARRAY(sa.Text())))
        columns.append(sa.Column("found", postgresql.TSVECTOR()))
        columns.append(sa.Column("address", postgresql.INET(), server_default="127.0.0.1"))
    sa.Table("notes", folder.metadata, key(), *columns)
    text = made(engine, folder)
    assert text.count(f"from sqlalchemy.dialects import {KIND}") == 1
    assert "Stored" not in text
    upgrade_downgrade_upgrade(engine, folder)


def test_an_enum_migration_upgrades_downgrades_and_upgrades_again(
    engine: sa.Engine, folder: Folder
) -> None:
    kind = sa.Enum("draft", "at 100%", "a:b", "it's", name="kind")
    sa.Table("notes", folder.metadata, key(), sa.Column("kind", kind, server_default="draft"))
    sa.Table("pages", folder.metadata, key(), sa.Column("kind", kind))
    made(engine, folder)
    upgrade_downgrade_upgrade(engine, folder)
    with engine.begin() as connection:
        connection.execute(folder.metadata.tables["notes"].insert(), [{"kind": "a:b"}])


@on_postgresql
def test_an_enum_type_is_created_before_a_column_of_an_existing_table(
    engine: sa.Engine, folder: Folder
) -> None:
    folder.tables("notes")
    run_migrations(engine, config=folder.config())
    moods = postgresql.ARRAY(sa.Enum("good", "bad", name="mood"))
    sa.Table("notes", folder.metadata, key(), sa.Column("moods", moods))
    text = made(engine, folder)
    assert text.index("CREATE TYPE mood") < text.index("add_column") < text.index("DROP TYPE mood")
    upgrade_downgrade_upgrade(engine, folder)


@on_postgresql
def test_an_enum_type_is_dropped_with_its_last_column(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    table = sa.Table("notes", folder.metadata, key())
    table.append_column(sa.Column("kind", sa.Enum("a", "b", name="kind")))
    made(engine, folder, "first")
    run_migrations(engine, config=folder.config())
    folder.metadata.clear()
    sa.Table("notes", folder.metadata, key())
    database.ask("CREATE TYPE somebody_elses AS ENUM ('x')")
    made(engine, folder, "second")
    upgrade_downgrade_upgrade(engine, folder)
    types = database.ask("SELECT typname FROM pg_type WHERE typtype = 'e'")
    assert types == [("somebody_elses",)]


def test_migrate_make_lists_the_differences(
    engine: sa.Engine, folder: Folder, command: Command
) -> None:
    folder.add("a", "op.execute('CREATE TABLE a (id INTEGER NOT NULL PRIMARY KEY, b INTEGER)')")
    folder.add("gone", "op.execute('CREATE TABLE gone (id INTEGER PRIMARY KEY)')")
    run_migrations(engine, config=folder.config())
    sa.Table("a", folder.metadata, key(), sa.Column("c", sa.String(5)))
    sa.Table("d", folder.metadata, key(), sa.Column("e", sa.Integer, index=True))
    code, out, err = command("migrate make change")
    assert (code, err) == (0, "")
    assert set(out.splitlines()[1:6]) == {
        "  add column a.c",
        "  create index ix_d_e on d",
        "  create table d",
        "  drop column a.b",
        "  drop table gone",
    }


def test_a_table_that_no_migration_created_is_not_dropped(
    engine: sa.Engine, folder: Folder, database: Database, command: Command
) -> None:
    folder.add("own", "op.execute('CREATE TABLE own (id INTEGER PRIMARY KEY)')")
    run_migrations(engine, config=folder.config())
    database.ask("CREATE TABLE legacy (id INTEGER PRIMARY KEY, name TEXT)")
    database.ask("CREATE INDEX legacy_name ON legacy (name)")
    database.ask("INSERT INTO legacy VALUES (1, 'kept')")
    code, out, _ = command("migrate make change")
    assert code == 0
    assert "  drop table own\n" in out
    assert "  drop table legacy  (left out: no migration here made it)\n" in out
    (path,) = folder.versions.glob("*_change.py")
    check_with_ruff(path)
    assert "# op.drop_table(" in path.read_text()
    run_migrations(engine, config=folder.config()).raise_for_error()
    assert database.ask("SELECT * FROM legacy") == [(1, "kept")]
    assert database.tables() == {"legacy"}
    rollback_migrations(engine, config=folder.config()).raise_for_error()
    assert database.tables() == {"legacy", "own"}


def test_a_migration_that_only_mentions_a_table_did_not_create_it(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.add("beside legacy", "pass  # legacy was here before")
    run_migrations(engine, config=folder.config())
    database.ask("CREATE TABLE legacy (id INTEGER PRIMARY KEY)")
    new = make_migration(engine, "change", config=folder.config())
    assert [(found.text, found.left_out) for found in new.differences] == [
        ("drop table legacy", True)
    ]


def test_drops_are_red_on_a_terminal(engine: sa.Engine, folder: Folder, database: Database) -> None:
    folder.add("gone", "op.execute('CREATE TABLE gone (id INTEGER PRIMARY KEY)')")
    run_migrations(engine, config=folder.config())
    shown = on_a_terminal(database, folder, "make", "change")
    assert "\x1b[31m  drop table gone\x1b[0m" in shown


def test_no_file_is_written_if_the_database_is_behind_or_unreachable(
    engine: sa.Engine, folder: Folder, command: Command
) -> None:
    folder.tables("a", "b")
    before = sorted(folder.versions.glob("*.py"))
    code, out, err = command("migrate make c")
    assert (code, out) == (1, "")
    assert "The database is behind by 2 migrations: 001_a, 002_b" in err
    assert "Solution: Apply them: migrate latest. Then repeat this command." in err
    nowhere = sa.create_engine("sqlite:////nowhere/at/all.db")
    if KIND == "postgresql":
        nowhere = sa.create_engine("postgresql+psycopg://127.0.0.1:1/nowhere")
    with pytest.raises(ActionableError) as refused:
        make_migration(nowhere, "c", config=folder.config())
    assert refused.value.code in {"database-away", "database-refuses"}
    assert sorted(folder.versions.glob("*.py")) == before
    assert make_migration(nowhere, "c", empty=True, config=folder.config()).path.exists()


def test_a_revision_that_is_not_a_time_is_ignored_for_the_next_one(
    engine: sa.Engine, folder: Folder
) -> None:
    folder.add("odd")
    path = folder.file("001_odd")
    path.write_text(path.read_text().replace("'001'", "'99999999999999'"))
    new = make_migration(engine, "next", empty=True, config=folder.config())
    assert new.revision < "3"
