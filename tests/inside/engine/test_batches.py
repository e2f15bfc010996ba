"""Batches work like Knex's."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from my_service.errors import ActionableError
from my_service.migrate import (
    get_lock_holder,
    get_migration_status,
    migrate_down,
    migrate_up,
    rollback_migrations,
    run_backfills,
    run_migrations,
    runner,
    unlock,
)

from engine.support import Command, Database, Folder


def test_latest_applies_all_pending_as_one_batch(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    names = folder.tables("a", "b")
    result = run_migrations(engine, config=folder.config())
    assert (result.success, result.batch, result.migrations) == (True, 1, tuple(names))
    assert result.error is None
    assert result.duration > 0
    folder.tables("c")
    assert run_migrations(engine, config=folder.config()).batch == 2
    assert database.tables() == {"a", "b", "c"}
    assert database.history() == [
        (1, 1, "001_a", True),
        (1, 1, "002_b", True),
        (2, 2, "003_c", True),
    ]


def test_nothing_to_do_is_a_success_without_a_batch(engine: sa.Engine, folder: Folder) -> None:
    folder.tables("a")
    run_migrations(engine, config=folder.config())
    for again in (run_migrations, migrate_up):
        result = again(engine, config=folder.config())
        assert (result.success, result.batch, result.migrations) == (True, None, ())
    rollback_migrations(engine, config=folder.config())
    for back in (rollback_migrations, migrate_down):
        result = back(engine, config=folder.config())
        assert (result.success, result.batch, result.migrations) == (True, None, ())


def test_a_run_with_nothing_to_do_does_not_take_the_lock(
    engine: sa.Engine, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.tables("a")
    run_migrations(engine, config=folder.config())
    monkeypatch.setattr(runner, "migration_lock", None)
    run_migrations(engine, config=folder.config()).raise_for_error()


def test_up_makes_its_own_batch_and_rollback_undoes_the_newest_batch(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("a", "b", "c")
    assert migrate_up(engine, config=folder.config()).migrations == ("001_a",)
    assert run_migrations(engine, config=folder.config()).migrations == ("002_b", "003_c")
    back = rollback_migrations(engine, config=folder.config())
    assert (back.batch, back.migrations) == (2, ("003_c", "002_b"))
    assert database.tables() == {"a"}


def test_down_undoes_one_and_leaves_the_rest_of_its_batch(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("a", "b")
    run_migrations(engine, config=folder.config())
    down = migrate_down(engine, config=folder.config())
    assert (down.batch, down.migrations) == (1, ("002_b",))
    assert rollback_migrations(engine, config=folder.config()).migrations == ("001_a",)
    assert database.tables() == set()


def test_batch_numbers_are_reused_and_run_ids_are_not(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("a", "b")
    config = folder.config()
    migrate_up(engine, config=config)
    migrate_up(engine, config=config)
    rollback_migrations(engine, config=config)
    assert migrate_up(engine, config=config).batch == 2
    rollback_migrations(engine, everything=True, config=config)
    assert run_migrations(engine, config=config).batch == 1
    assert [row[:3] for row in database.history()] == [
        (1, 1, "001_a"),
        (2, 2, "002_b"),
        (3, 2, "002_b"),
        (4, 1, "001_a"),
        (4, 1, "002_b"),
    ]


def test_rollback_all_undoes_everything_in_reverse_order(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("a", "b", "c")
    for _ in range(3):
        migrate_up(engine, config=folder.config())
    result = rollback_migrations(engine, everything=True, config=folder.config())
    assert result.migrations == ("003_c", "002_b", "001_a")
    assert (database.tables(), database.heads()) == (set(), set())


@pytest.mark.parametrize("name", ["001_add_b.py", "001_add_b", "001", "add_b", "Add b", "add-b"])
def test_up_and_down_accept_a_file_name_a_revision_or_the_name_given_to_make(
    engine: sa.Engine, folder: Folder, name: str
) -> None:
    folder.tables("add_b")
    assert migrate_up(engine, name, config=folder.config()).migrations == ("001_add_b",)
    assert migrate_down(engine, name, config=folder.config()).migrations == ("001_add_b",)


def test_each_refusal_of_up_and_down_has_its_own_message(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("a", "b", "c", "d")
    config = folder.config()
    migrate_up(engine, config=config)
    migrate_up(engine, config=config)
    before = database.all()
    refused = {
        "early": migrate_up(engine, "d", config=config),
        "unknown": migrate_up(engine, "nowhere", config=config),
        "buried": migrate_down(engine, "a", config=config),
        "unknown too": migrate_down(engine, "nowhere", config=config),
    }
    assert {why: str(result.error.problem) for why, result in refused.items()} == {
        "early": "004_d is not next: 003_c comes before it.",
        "unknown": "No migration is called 'nowhere'.",
        "buried": "001_a is not the newest: 002_b was applied after it.",
        "unknown too": "No migration is called 'nowhere'.",
    }
    assert not any(result.success or result.migrations for result in refused.values())
    assert database.all() == before


def test_up_to_an_applied_and_down_to_a_pending_migration_do_nothing(
    engine: sa.Engine, folder: Folder, database: Database, command: Command
) -> None:
    folder.tables("a", "b")
    migrate_up(engine, config=folder.config())
    before = database.all()
    for result in (
        migrate_up(engine, "a", config=folder.config()),
        migrate_down(engine, "b", config=folder.config()),
    ):
        assert (result.success, result.batch, result.migrations) == (True, None, ())
    assert command("migrate up a") == (0, "Already up to date\n", "")
    assert command("migrate down b") == (0, "Already at the base migration\n", "")
    assert database.all() == before


def test_a_name_that_two_migrations_have_is_refused(engine: sa.Engine, folder: Folder) -> None:
    folder.add("same")
    folder.add("same")
    result = migrate_up(engine, "same", config=folder.config())
    assert result.error.problem == "'same' matches 2 migrations: 001_same, 002_same"


def test_status_lists_completed_oldest_first_and_pending_next_first(
    engine: sa.Engine, folder: Folder
) -> None:
    folder.tables("a", "b", "c", "d")
    config = folder.config()
    migrate_up(engine, config=config)
    migrate_up(engine, config=config)
    status = get_migration_status(engine, config=config)
    assert [(m.name, m.batch) for m in status.completed] == [("001_a", 1), ("002_b", 2)]
    assert status.pending == ("003_c", "004_d")
    assert (status.current, status.at_head, status.problem) == ("002", False, None)
    assert all(m.applied_at.tzinfo and m.duration >= 0 for m in status.completed)


def test_a_result_raises_its_error_only_when_asked(engine: sa.Engine, folder: Folder) -> None:
    folder.add("bad", "raise ValueError('first line\\nsecond line')")
    result = run_migrations(engine, config=folder.config())
    assert (result.success, result.batch, result.migrations) == (False, None, ())
    assert str(result.error).splitlines() == [
        "Problem:  001_bad failed: ValueError: first line",
        "Impact:   Nothing was changed: the whole batch was rolled back.",
        f"Solution: Correct {folder.file('001_bad')} and run it again: migrate latest",
    ]
    with pytest.raises(ActionableError):
        result.raise_for_error()


def test_without_a_database_every_function_gives_an_actionable_error(
    folder: Folder, nowhere: sa.Engine
) -> None:
    folder.tables("a")
    acts = (run_migrations, migrate_up, migrate_down, rollback_migrations, run_backfills)
    for act in acts:
        error = act(nowhere, config=folder.config()).error
        assert re.search("does not answer|refuses: .*unable to open", error.problem)
        assert "hidden" not in str(error)
    for ask in (get_lock_holder, unlock):
        with pytest.raises(ActionableError, match=r"does not answer|refuses"):
            ask(nowhere)
    with pytest.raises(ActionableError, match=r"does not answer|refuses"):
        get_migration_status(nowhere, config=folder.config())
