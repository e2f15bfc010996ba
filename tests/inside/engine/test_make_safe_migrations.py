"""``migrate make`` writes migrations that are safe for a live site, unlike Alembic."""

from __future__ import annotations

import enum
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from my_service.migrate import (
    NewMigration,
    lint_migrations,
    make_migration,
    rollback_migrations,
    run_migrations,
)

from engine.support import KIND, Command, Folder, check_with_ruff, printed_json

on_postgresql = pytest.mark.skipif(KIND == "sqlite", reason="SQLite has one lock for all")
Make = Callable[..., NewMigration]


def key() -> sa.Column[int]:
    """A primary key."""
    return sa.Column("id", sa.Integer, primary_key=True)


@pytest.fixture
def make(engine: sa.Engine, folder: Folder) -> Make:
    """Makes the tables ``notes`` and ``users``, then changes ``notes``, and writes the migration."""
    sa.Table("users", folder.metadata, key())
    sa.Table(
        "notes", folder.metadata, key(), sa.Column("title", sa.Text), sa.Column("by", sa.Integer)
    )
    make_migration(engine, "tables", config=folder.config())
    run_migrations(engine, config=folder.config()).raise_for_error()
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO users (id) VALUES (7)")
        connection.exec_driver_sql("INSERT INTO notes (id, title, by) VALUES (1, 'a', 7)")

    def made(*changes: object, plain: bool = False) -> NewMigration:
        sa.Table(
            "notes",
            folder.metadata,
            *changes,
            extend_existing=True,
        )
        new = make_migration(engine, "change", plain=plain, config=folder.config())
        for path in filter(None, (new.path, new.online)):
            check_with_ruff(path)
        return new

    return made


@pytest.fixture
def is_safe(engine: sa.Engine, folder: Folder) -> Callable[[NewMigration], bool]:
    """Check that linting finds nothing, and that it goes up, down and up again with rows."""

    def check(new: NewMigration) -> bool:
        names = [path.stem for path in (new.path, new.online) if path]
        report = lint_migrations(engine, names, config=folder.config())
        run_migrations(engine, config=folder.config()).raise_for_error()
        rollback_migrations(engine, config=folder.config()).raise_for_error()
        run_migrations(engine, config=folder.config()).raise_for_error()
        return report.success

    return check


def is_settled(engine: sa.Engine, folder: Folder) -> bool:
    """Check that the models and the database are equal now."""
    return make_migration(engine, "again", config=folder.config()).note is not None


@on_postgresql
def test_an_index_is_built_outside_a_transaction(
    engine: sa.Engine, folder: Folder, make: Make, is_safe: Callable[[NewMigration], bool]
) -> None:
    new = make(
        sa.Index("notes_title_idx", "title", unique=True, postgresql_where=sa.text("by > 1"))
    )
    text = new.path.read_text()
    assert "\ntransaction = False\n" in text
    assert text.count("postgresql_concurrently=True") == 3
    assert new.online is None
    assert [str(found.text) for found in new.differences] == [
        "create index notes_title_idx on notes"
    ]
    assert is_safe(new)
    assert is_settled(engine, folder)


@on_postgresql
def test_plain_writes_the_index_as_alembic_does(
    make: Make, is_safe: Callable[[NewMigration], bool]
) -> None:
    new = make(sa.Index("notes_title_idx", "title"), plain=True)
    assert "transaction = False" not in new.path.read_text()
    assert not is_safe(new)


@on_postgresql
def test_a_foreign_key_is_validated_after_it_is_added(
    engine: sa.Engine, folder: Folder, make: Make, is_safe: Callable[[NewMigration], bool]
) -> None:
    new = make(
        sa.ForeignKeyConstraint(["by"], ["users.id"], name="notes_by_fkey", ondelete="CASCADE")
    )
    text = new.path.read_text()
    assert "\ntransaction = False\n" in text
    assert "postgresql_not_valid=True" in text
    assert 'op.execute("ALTER TABLE notes VALIDATE CONSTRAINT notes_by_fkey")' in text
    assert is_safe(new)
    assert is_settled(engine, folder)


@on_postgresql
def test_not_null_is_added_after_a_check_constraint(
    engine: sa.Engine, folder: Folder, make: Make, is_safe: Callable[[NewMigration], bool]
) -> None:
    new = make(sa.Column("title", sa.Text, nullable=False))
    text = new.path.read_text()
    assert "CHECK (title IS NOT NULL) NOT VALID" in text
    assert "\ntransaction = False\n" in text
    run = lint_migrations(engine, [new.path.stem], config=folder.config())
    # Code that writes no title must end first; nobody waits.
    assert {code for finding in run.findings for code in finding.codes} <= {"breaks-old-code"}
    is_safe(new)
    assert is_settled(engine, folder)


@on_postgresql
def test_steps_that_need_a_transaction_get_an_earlier_file(
    engine: sa.Engine, folder: Folder, make: Make, is_safe: Callable[[NewMigration], bool]
) -> None:
    new = make(
        sa.Column("kind", sa.Enum("a", "b", name="kind"), index=True),
        sa.Column("other", sa.Integer, sa.ForeignKey("users.id", name="notes_other_fkey")),
    )
    assert new.online is not None
    first, second = new.path.read_text(), new.online.read_text()
    assert new.online.name.endswith("_change_online.py")
    assert new.online.stem > new.path.stem
    assert "add_column" in first
    assert "CREATE TYPE kind" in first
    assert "transaction = False" not in first
    assert "\ntransaction = False\n" in second
    assert "VALIDATE CONSTRAINT notes_other_fkey" in second
    assert is_safe(new)
    assert is_settled(engine, folder)


@on_postgresql
def test_a_failed_concurrent_index_can_be_run_again(
    engine: sa.Engine, folder: Folder, make: Make
) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO notes (id, title) VALUES (2, 'a')")
    make(sa.Index("notes_title_idx", "title", unique=True))
    assert not run_migrations(engine, config=folder.config()).success
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM notes WHERE id = 2")
    assert run_migrations(engine, config=folder.config()).success


def test_indexes_of_a_new_table_are_not_built_concurrently(
    engine: sa.Engine, folder: Folder
) -> None:
    sa.Table(
        "notes", folder.metadata, key(), sa.Column("title", sa.Text, nullable=False, index=True)
    )
    new = make_migration(engine, "tables", config=folder.config())
    text = new.path.read_text()
    assert "concurrently" not in text
    assert "nullable=False" in text
    assert new.online is None


class Size(enum.Enum):
    """The type of a column."""

    SMALL = 1
    LARGE = 2


@pytest.mark.parametrize(
    ("type_", "default", "stored"),
    [
        (sa.Text(), "it's 100%: a:b", "it's 100%: a:b"),
        (sa.Boolean(), False, False),
        (sa.Enum(Size, name="size"), Size.LARGE, "LARGE"),
    ],
)
def test_a_new_not_null_column_gets_the_default_of_the_model(
    engine: sa.Engine,
    folder: Folder,
    make: Make,
    is_safe: Callable[[NewMigration], bool],
    type_: sa.types.TypeEngine[object],
    default: object,
    stored: object,
) -> None:
    new = make(sa.Column("size", type_, nullable=False, default=default))
    text = new.path.read_text()
    assert "server_default" in text
    assert "# The default of notes.size fills the existing rows" in text
    assert is_safe(new)
    with engine.begin() as connection:
        assert connection.exec_driver_sql("SELECT size FROM notes").scalar() == stored


def test_a_new_not_null_column_without_a_default_is_nullable_at_first(
    engine: sa.Engine, folder: Folder, make: Make, is_safe: Callable[[NewMigration], bool]
) -> None:
    new = make(sa.Column("nick", sa.Text, nullable=False))
    text = new.path.read_text()
    assert "nullable=True" in text
    assert "# notes.nick is nullable until every row has a value" in text
    assert is_safe(new)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE notes SET nick = 'x'")
    again = make_migration(engine, "not_null", config=folder.config())
    assert [found.text for found in again.differences] == ["change column notes.nick: not nullable"]
    run_migrations(engine, config=folder.config()).raise_for_error()
    assert is_settled(engine, folder)


@on_postgresql
def test_migrate_make_prints_both_files_and_accepts_plain(
    command: Command, make: Make, folder: Folder
) -> None:
    sa.Table("notes", folder.metadata, sa.Column("more", sa.Text, index=True), extend_existing=True)
    code, out, _ = command("migrate make more")
    assert code == 0
    assert [line.partition("_more")[2] for line in out.splitlines()[:2]] == [
        ".py",
        "_online.py, to run outside a transaction",
    ]
    for path in folder.versions.glob("*_more*.py"):
        path.unlink()
    code, out, _ = command("migrate make more --plain")
    assert out.count("Created") == 1
    assert "CREATE INDEX" in out
    code, out, _ = command("migrate lint --json")
    assert [row["code"] for row in printed_json(out)["findings"]] == ["blocks-all"]
