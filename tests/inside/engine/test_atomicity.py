"""A run that fails leaves schema, version and history as they were."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from my_service.migrate import (
    get_migration_status,
    migrate_up,
    rollback_migrations,
    run_migrations,
)

from engine.support import KIND, Command, Database, Folder, create

ALONE = "transaction = False\n"
FAIL = "op.execute('this is no SQL')"
COMMITS = {
    "the connection": "op.get_bind().commit()",
    "a raw COMMIT": 'op.execute("COMMIT")',
    "the driver": "op.get_bind().connection.driver_connection.commit()",
}


def test_a_failed_run_changes_nothing(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("a")
    run_migrations(engine, config=folder.config())
    before = database.all()
    folder.tables("b")
    folder.add("bad", [create("c"), "op.execute('INSERT INTO c VALUES (1)')", FAIL])
    folder.tables("d")
    result = run_migrations(engine, config=folder.config())
    assert (result.success, result.batch, result.migrations) == (False, None, ())
    assert result.error.problem.startswith("003_bad failed: ")
    assert str(folder.file("003_bad")) in result.error.solution
    assert len(str(result.error).splitlines()) == 3
    assert database.all() == before
    folder.file("003_bad").write_text(folder.file("003_bad").read_text().replace(FAIL, "pass"))
    assert run_migrations(engine, config=folder.config()).batch == 2


def test_with_a_migration_outside_a_transaction_each_one_is_committed_alone(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("a")
    folder.add("alone", 'op.create_index("a_idx", "a", ["id"])', extra=ALONE)
    folder.add("bad", [create("c"), FAIL])
    result = run_migrations(engine, config=folder.config())
    assert (result.success, result.batch, result.migrations) == (False, 1, ("001_a", "002_alone"))
    assert result.error.problem.startswith("003_bad failed: ")
    assert result.error.impact == "2 migrations before it completed and are not undone."
    assert database.tables() == {"a"}
    assert database.history() == [(1, 1, "001_a", True), (1, 1, "002_alone", True)]
    folder.file("003_bad").write_text(folder.file("003_bad").read_text().replace(FAIL, "pass"))
    retry = run_migrations(engine, config=folder.config())
    assert (retry.batch, retry.migrations) == (2, ("003_bad",))


def test_a_failure_outside_a_transaction_says_that_its_first_half_stays(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.add("half", [create("a"), FAIL], extra=ALONE)
    result = run_migrations(engine, config=folder.config())
    assert result.migrations == ()
    assert "outside a transaction" in result.error.impact
    assert database.tables() == {"a"}
    assert database.heads() == set()


def test_autocommit_block_of_alembic_is_recognised(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("a")
    folder.add("out", ["with op.get_context().autocommit_block():", f"    {create('b')}"])
    folder.add("bad", FAIL)
    result = run_migrations(engine, config=folder.config())
    assert result.migrations == ("001_a", "002_out")
    assert database.tables() == {"a", "b"}


@pytest.mark.skipif(KIND != "postgresql", reason="SQLite has no concurrent indexes")
def test_an_index_is_built_concurrently(engine: sa.Engine, folder: Folder) -> None:
    folder.tables("a")
    folder.add(
        "idx",
        'op.create_index("a_idx", "a", ["id"], postgresql_concurrently=True)',
        'op.drop_index("a_idx", "a", postgresql_concurrently=True)',
        extra=ALONE,
    )
    assert run_migrations(engine, config=folder.config()).migrations == ("001_a", "002_idx")
    assert rollback_migrations(engine, config=folder.config()).migrations == ("002_idx", "001_a")


def test_a_rollback_that_fails_midway_can_be_continued(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("a")
    folder.add("b", create("b"), ['op.drop_table("b")', FAIL])
    folder.tables("c")
    run_migrations(engine, config=folder.config())
    result = rollback_migrations(engine, config=folder.config())
    assert (result.success, result.batch, result.migrations) == (False, 1, ("003_c",))
    assert result.error.problem.startswith("002_b failed: ")
    assert result.error.solution.endswith("migrate rollback")
    assert (database.tables(), database.heads()) == ({"a", "b"}, {"002"})
    folder.file("002_b").write_text(folder.file("002_b").read_text().replace(FAIL, "pass"))
    again = rollback_migrations(engine, config=folder.config())
    assert again.migrations == ("002_b", "001_a")
    assert database.tables() == set()


def test_an_error_at_the_commit_names_all_migrations_that_were_rolled_back(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    if KIND == "sqlite":
        # SQLite's check runs after each migration, so the error can name the one.
        folder.add("a", [create("a"), CHILD, "op.execute('INSERT INTO child VALUES (1, 7)')"])
        expected = "001_a: 1 row refers to missing rows, the first from child to a."
    else:
        folder.add("a", [create("a"), CHILD, "op.execute('INSERT INTO child VALUES (1, 7)')"])
        expected = "001_a, 002_b failed: IntegrityError: ERROR: insert or update on table"
    folder.tables("b")
    result = run_migrations(engine, config=folder.config())
    assert result.error.problem.startswith(expected)
    assert database.tables() == set()


CHILD = (
    'op.create_table("child", sa.Column("id", sa.Integer, primary_key=True),'
    ' sa.Column("a_id", sa.Integer, sa.ForeignKey("a.id", deferrable=True, initially="DEFERRED")))'
)


def test_an_interrupt_rolls_the_run_back_and_releases_the_lock(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("a")
    folder.add("interrupted", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        run_migrations(engine, config=folder.config())
    assert database.tables() == set()
    assert migrate_up(engine, config=folder.config(lock_timeout=1)).success


def test_a_connection_lost_during_a_run_is_an_error_without_traceback(
    folder: Folder, database: Database
) -> None:
    folder.tables("a")
    folder.add("lost", ["from my_service.lost import lose", "lose()"])
    engine = database.engine()
    import sys
    from types import ModuleType

    module = ModuleType("my_service.lost")

    def lose() -> None:
        def refuse(*_: object, **__: object) -> None:
            raise sa.exc.OperationalError("connect", {}, Exception("gone"))

        sa.event.listen(engine.pool, "checkout", refuse)
        raise sa.exc.OperationalError("ALTER", {}, Exception("server closed the connection"))

    vars(module)["lose"] = lose
    sys.modules["my_service.lost"] = module
    result = run_migrations(engine, config=folder.config())
    assert result.error.problem.startswith("The connection was lost while 001_a or a later one ran")
    engine.dispose()
    assert database.tables() == set()


@pytest.mark.skipif(KIND != "postgresql", reason="SQLite has no sessions to end")
def test_a_terminated_session_rolls_the_run_back(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("a")
    folder.add("dies", "op.execute('SELECT pg_terminate_backend(pg_backend_pid())')")
    result = run_migrations(engine, config=folder.config())
    assert result.error.problem.startswith("002_dies failed: ")
    assert database.tables() == set()
    assert not get_migration_status(engine, config=folder.config()).completed


@pytest.mark.skipif(KIND != "postgresql", reason="nobody can take SQLite's lock away")
def test_a_lost_lock_prevents_the_commit(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("a")
    folder.add(
        "unlocked",
        "op.execute('SELECT pg_terminate_backend(pid) FROM pg_locks"
        " WHERE locktype = $$advisory$$')",
    )
    result = run_migrations(engine, config=folder.config())
    assert "The migration lock was lost" in result.error.problem
    assert database.tables() == set()


@pytest.mark.parametrize("commits", COMMITS.values(), ids=COMMITS)
def test_a_failed_migration_that_committed_says_what_stays(
    engine: sa.Engine, folder: Folder, database: Database, commits: str
) -> None:
    folder.tables("a")
    folder.add("commits", [create("b"), commits, create("c"), FAIL])
    result = run_migrations(engine, config=folder.config())
    assert (result.success, result.migrations) == (False, ("001_a",))
    assert "1 migration before it completed and is not undone." in result.error.impact
    assert "ended its own transaction" in result.error.impact
    assert {"a", "b"} <= database.tables()
    assert database.heads() == {"001"}


@pytest.mark.parametrize("commits", COMMITS.values(), ids=COMMITS)
def test_a_migration_that_commits_and_succeeds_is_recorded(
    engine: sa.Engine, folder: Folder, database: Database, commits: str
) -> None:
    folder.add("commits", [create("b"), commits, create("c")])
    folder.tables("d")
    result = run_migrations(engine, config=folder.config()).raise_for_error()
    assert result.migrations == ("001_commits", "002_d")
    assert database.tables() == {"b", "c", "d"}


def test_a_migration_that_rolls_back_by_itself_is_not_reported_as_applied(
    engine: sa.Engine, folder: Folder
) -> None:
    folder.tables("a")
    folder.add("rolls_back", [create("b"), 'op.execute("ROLLBACK")'])
    result = run_migrations(engine, config=folder.config())
    names = {m.name for m in get_migration_status(engine, config=folder.config()).completed}
    assert set(result.migrations) == names


def test_a_comment_about_autocommit_does_not_split_the_batch(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("a")
    folder.add("talks", ["# autocommit_block would commit what ran before", FAIL])
    result = run_migrations(engine, config=folder.config())
    assert result.error.impact == "Nothing was changed: the whole batch was rolled back."
    assert database.tables() == set()


def test_leaving_the_transaction_through_a_helper_is_detected(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("a")
    leave = 'getattr(op.get_context(), "autocommit" + "_block")'
    folder.add("helped", [f"with {leave}():", f"    {create('b')}", FAIL])
    result = run_migrations(engine, config=folder.config())
    assert result.migrations == ("001_a",)
    assert "ended its own transaction" in result.error.impact
    assert database.tables() == {"a", "b"}


def test_autocommit_block_works_in_a_migration_outside_a_transaction(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.add(
        "a", ["with op.get_context().autocommit_block():", f"    {create('a')}"], extra=ALONE
    )
    run_migrations(engine, config=folder.config()).raise_for_error()
    assert database.tables() == {"a"}


def test_system_exit_in_a_migration_is_an_error(
    engine: sa.Engine, folder: Folder, database: Database, command: Command
) -> None:
    folder.add("exits", [create("a"), "raise SystemExit(0)"])
    error = run_migrations(engine, config=folder.config()).error
    assert error.code == "called-exit" and "001_exits" in error.problem
    assert command("migrate latest")[0] == 1
    assert database.tables() == set()
