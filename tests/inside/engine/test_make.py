"""``migrate make`` writes files that follow the last one."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from my_service.errors import ActionableError
from my_service.migrate import make_migration, migrate_up, run_migrations

from engine.support import Command, Folder, check_with_ruff


def test_make_fills_a_migration_in_from_the_models(engine: sa.Engine, folder: Folder) -> None:
    sa.Table(
        "avatars",
        folder.metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("file", sa.LargeBinary, nullable=False),
        sa.Column("name", sa.String(20), nullable=False, index=True),
    )
    new = make_migration(engine, "add user avatar", config=folder.config())
    assert re.fullmatch(r"\d{14}_add_user_avatar\.py", new.path.name)
    assert new.note is None
    assert run_migrations(engine, config=folder.config()).success
    assert sa.inspect(engine).has_table("avatars")
    again = make_migration(engine, "nothing", config=folder.config())
    assert again.note == "the models and the database do not differ"
    for made in (new, again):
        check_with_ruff(made.path)


@pytest.mark.parametrize("is_known", [True, False])
def test_make_writes_a_backfill_example_that_runs(
    engine: sa.Engine, folder: Folder, *, is_known: bool
) -> None:
    if is_known:
        columns = (sa.Column("code", sa.String(9), primary_key=True), sa.Column("of:", sa.Integer))
        sa.Table("avatars", folder.metadata, *columns)
        folder.metadata.create_all(engine)
        with engine.begin() as connection:
            connection.exec_driver_sql("INSERT INTO avatars VALUES ('x', 7), ('y', NULL)")
    new = make_migration(engine, "fill", phase="backfill", config=folder.config())
    assert new.note is None
    check_with_ruff(new.path)
    text = new.path.read_text()
    assert 'phase = "backfill"' in text
    assert ("table='avatars'" in text.replace('"', "'")) is is_known
    result = run_migrations(engine, config=folder.config())
    if is_known:
        result.raise_for_error()
        with engine.connect() as connection:
            rows = connection.exec_driver_sql('SELECT "of:" FROM avatars ORDER BY code').scalars()
            assert rows.all() == [7, None]


def test_make_with_empty_writes_a_blank_file(engine: sa.Engine, folder: Folder) -> None:
    sa.Table("avatars", folder.metadata, sa.Column("id", sa.Integer, primary_key=True))
    new = make_migration(engine, "later", empty=True, config=folder.config())
    assert new.note is None
    assert "avatars" not in new.path.read_text()
    check_with_ruff(new.path)


def test_files_made_in_the_same_second_form_a_chain(engine: sa.Engine, folder: Folder) -> None:
    for name in ("one", "two", "three"):
        make_migration(engine, name, empty=True, config=folder.config())
    result = run_migrations(engine, config=folder.config())
    assert [name[15:] for name in result.migrations] == ["one", "two", "three"]
    assert len({name[:14] for name in result.migrations}) == 3


@pytest.mark.parametrize("typed", ["Add Users", "add-users", " add_users ", "add__users"])
def test_capitals_spaces_and_hyphens_become_a_file_name(
    engine: sa.Engine, folder: Folder, typed: str
) -> None:
    new = make_migration(engine, typed, empty=True, config=folder.config())
    assert new.path.stem[15:] == "add_users"
    assert migrate_up(engine, typed, config=folder.config()).success


@pytest.mark.parametrize(
    "typed", ["", "..", "../x", "a/b", "ü", "a" * 101, "x.py", "a\nb;", "$(id)"]
)
def test_an_invalid_migration_name_is_refused(
    engine: sa.Engine, folder: Folder, typed: str
) -> None:
    with pytest.raises(ActionableError, match="cannot be the name of a migration"):
        make_migration(engine, typed, empty=True, config=folder.config())
    assert list(folder.versions.iterdir()) == []


def test_multiple_heads_are_refused_with_the_command_that_merges_them(
    engine: sa.Engine, folder: Folder, command: Command
) -> None:
    folder.tables("base", "left")
    folder.add("right", after="001")
    with pytest.raises(ActionableError) as refused:
        make_migration(engine, "x", config=folder.config())
    assert refused.value.problem == "Multiple heads: 002_left, 003_right"
    assert run_migrations(engine, config=folder.config()).error.problem == refused.value.problem
    assert refused.value.solution == "Join them: migrate make --merge NAME"
    code, out, _ = command("migrate make --merge both")
    assert (code, out.split()[0]) == (0, "Created")
    (made,) = folder.versions.glob("*_both.py")
    check_with_ruff(made)
    assert len(run_migrations(engine, config=folder.config()).migrations) == 4


def test_merging_is_refused_when_there_is_only_one_head(engine: sa.Engine, folder: Folder) -> None:
    folder.tables("a")
    with pytest.raises(ActionableError, match="only one head"):
        make_migration(engine, "x", merge=True, config=folder.config())


def test_migrate_make_prints_the_file_and_why_it_is_blank(command: Command) -> None:
    code, out, err = command("migrate make add_b")
    assert (code, err) == (0, "")
    first, second = out.splitlines()
    assert first.startswith("Created ") and first.endswith("_add_b.py")
    assert second == "It is blank: the models and the database do not differ"
