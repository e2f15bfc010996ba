"""Errors of version 0.1.0 in unusual cases, which must not come back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
from alembic import command as alembic
from alembic.config import Config
from my_service.errors import ActionableError
from my_service.migrate import (
    get_migration_status,
    migrate_up,
    migration_sql,
    rollback_migrations,
    run_migrations,
)

from engine.support import KIND, Command, Database, Folder, create
from engine.test_dry_run import feed

ALONE = "transaction = False\n"
FAIL = "op.execute('this is no SQL')"
on_postgresql = pytest.mark.skipif(KIND != "postgresql", reason="PostgreSQL's own")
on_sqlite = pytest.mark.skipif(KIND != "sqlite", reason="SQLite's own")

COMMITS = {
    "the connection": "op.get_bind().commit()",
    "a raw COMMIT": 'op.execute("COMMIT")',
    "the driver": "op.get_bind().connection.driver_connection.commit()",
}


def test_a_migration_that_another_depends_on_runs_once(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("a")
    folder.add("b", create("b"), 'op.drop_table("b")', after="001")
    folder.add("c", create("c"), 'op.drop_table("c")', after="001", extra='depends_on = "002"\n')
    folder.add("join", after=("002", "003"))
    ran = [name for _ in range(4) for name in migrate_up(engine, config=folder.config()).migrations]
    assert ran == ["001_a", "002_b", "003_c", "004_join"]
    assert database.tables() == {"a", "b", "c"}
    undone = rollback_migrations(engine, everything=True, config=folder.config())
    assert undone.raise_for_error().migrations == ("004_join", "003_c", "002_b", "001_a")


def test_a_missing_dependency_is_named(engine: sa.Engine, folder: Folder) -> None:
    folder.add("a", extra='depends_on = "nowhere"\n')
    error = run_migrations(engine, config=folder.config()).error
    assert error.code == "parent-missing"
    assert error.problem == "001_a depends on revision 'nowhere', which no file has."


@pytest.mark.parametrize("commits", COMMITS.values(), ids=COMMITS)
def test_a_failed_migration_that_committed_says_what_stays(
    engine: sa.Engine, folder: Folder, database: Database, commits: str
) -> None:
    folder.tables("a")
    folder.add("commits", [create("b"), commits, create("c"), FAIL])
    result = run_migrations(engine, config=folder.config())
    assert (result.success, result.migrations) == (False, ("001_a",))
    assert "1 migration before it is done and stays so." in result.error.impact
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
    assert result.error.impact == "Nothing was changed: the whole batch was undone."
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


def test_system_exit_during_the_import_is_an_error(engine: sa.Engine, folder: Folder) -> None:
    folder.add("exits", extra="raise SystemExit(0)\n")
    assert run_migrations(engine, config=folder.config()).error.code == "file-does-not-import"


@pytest.mark.parametrize(
    "form", ["async def upgrade", "def upgrade() -> None:\n    yield\n\ndef f"]
)
def test_an_async_or_generator_upgrade_is_refused(
    engine: sa.Engine, folder: Folder, form: str
) -> None:
    name = folder.add("idle", create("a"))
    path = folder.file(name)
    path.write_text(path.read_text().replace("def upgrade", form, 1))
    error = run_migrations(engine, config=folder.config()).error
    assert error.code == "body-is-not-plain" and "001_idle" in error.problem


def test_formatting_and_comments_do_not_change_the_checksum_and_sql_does(
    engine: sa.Engine, folder: Folder
) -> None:
    name = folder.add("a", 'op.execute("CREATE TABLE a (id INTEGER)")')
    run_migrations(engine, config=folder.config())
    path = folder.file(name)
    text = path.read_text()
    path.write_text(
        text.replace('"""a."""', '"""Said better."""')
        .replace(
            "import sqlalchemy as sa\nfrom alembic import op",
            "from alembic import op\nimport sqlalchemy as sa  # sorted",
        )
        .replace(
            '("CREATE TABLE a (id INTEGER)")',
            "(\n        'CREATE TABLE a '\n        '(id INTEGER)'\n    )",
        )
    )
    assert path.read_text() != text
    assert run_migrations(engine, config=folder.config()).success
    assert not get_migration_status(engine, config=folder.config()).completed[0].changed
    path.write_text(text.replace("id INTEGER", "id  INTEGER"))
    assert run_migrations(engine, config=folder.config()).error.code == "files-changed"


def test_checksums_of_0_1_0_are_still_accepted(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    import hashlib

    (name,) = folder.tables("a")
    run_migrations(engine, config=folder.config())
    old = hashlib.sha256(folder.file(name).read_bytes()).hexdigest()
    database.ask(f"UPDATE migration_history SET checksum = '{old}'")
    assert run_migrations(engine, config=folder.config()).success
    assert not get_migration_status(engine, config=folder.config()).completed[0].changed


def test_the_history_table_of_0_1_0_is_upgraded(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("a")
    run_migrations(engine, config=folder.config())
    for column in ("phase", "service", "release", "fingerprint", "note"):
        database.ask(f"ALTER TABLE migration_history DROP COLUMN {column}")
    assert get_migration_status(engine, config=folder.config()).at_head
    folder.add("alone", create("b"), 'op.drop_table("b")', extra=ALONE)
    folder.tables("c")
    assert run_migrations(engine, config=folder.config()).raise_for_error().batch == 2
    phases = database.ask("SELECT name, phase FROM migration_history ORDER BY id")
    assert phases == [("001_a", "expand"), ("002_alone", "expand"), ("003_c", "expand")]
    assert rollback_migrations(engine, config=folder.config()).migrations == ("003_c", "002_alone")


def test_two_services_in_one_schema_need_different_history_tables(
    engine: sa.Engine, folder: Folder
) -> None:
    folder.tables("a")
    run_migrations(engine, config=folder.config(service="shop")).raise_for_error()
    error = run_migrations(engine, config=folder.config(service="blog")).error
    assert error.code == "another-services-history" and "shop" in error.problem
    own = folder.config(service="blog", history_table="blog_history", version_table="blog_version")
    engine_tables = {"alembic_version", "migration_history", "a"}
    assert set(sa.inspect(engine).get_table_names()) == engine_tables
    assert get_migration_status(engine, config=own).pending == ("001_a",)


def test_a_foreign_table_named_migration_history_is_an_error(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    database.ask("CREATE TABLE migration_history (what TEXT)")
    folder.tables("a")
    error = run_migrations(engine, config=folder.config()).error
    assert error.code == "foreign-history-table"
    assert database.ask("SELECT * FROM migration_history") == []


def test_a_missing_folder_is_an_error(engine: sa.Engine, folder: Folder) -> None:
    config = replace(folder.config(), directory=folder.path / "nowhere")
    assert run_migrations(engine, config=config).error.code == "folder-missing"


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"# \xe9\n", "file-unreadable"), (b"revision = '\n", "file-does-not-import")],
)
def test_an_unreadable_file_is_named(
    engine: sa.Engine, folder: Folder, content: bytes, code: str
) -> None:
    folder.file("001_odd").write_bytes(content)
    error = run_migrations(engine, config=folder.config()).error
    assert error.code == code and "001_odd.py" in error.problem


def test_commands_name_a_missing_file_from_history_and_exit_1(
    engine: sa.Engine, folder: Folder, command: Command
) -> None:
    folder.tables("a", "b", "c")
    run_migrations(engine, config=folder.config())
    folder.file("002_b").unlink()
    for word in ("list", "status", "latest"):
        code, out, err = command(f"migrate {word}")
        assert (code, "002_b" in out + err) == (1, True), word


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
    feed(database, migration_sql(engine, config=folder.config()))
    assert database.ask("SELECT t, f FROM v") == [("a\tb; -- c's", 0.1 + 0.2)]
    assert run_migrations(engine, config=folder.config()).migrations == ()


ENV = """
from pathlib import Path
import sqlalchemy as sa
from my_service.migrate import MigrationConfig
from my_service.migrate.plain_alembic import run_alembic

def nobody() -> sa.Engine:
    raise AssertionError("the service's own database was asked for")

run_alembic(nobody, MigrationConfig(Path(__file__).parent, sa.MetaData))
"""


@pytest.mark.parametrize("handed", ["engine", "connection"])
def test_alembic_uses_the_engine_or_connection_of_its_config(
    engine: sa.Engine, folder: Folder, database: Database, handed: str
) -> None:
    folder.tables("a")
    (folder.path / "env.py").write_text(ENV)
    config = Config(attributes={})
    config.set_main_option("script_location", str(folder.path))
    if handed == "engine":
        config.attributes["connection"] = engine
        alembic.upgrade(config, "head")
    else:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            alembic.upgrade(config, "head")
    assert database.tables() == {"a"}
    assert [row[2] for row in database.history()] == ["001_a"]


@on_postgresql
def test_the_lock_limit_applies_to_statements_outside_a_transaction(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("a")
    run_migrations(engine, config=folder.config())
    folder.add("alter", 'op.execute("ALTER TABLE a ADD COLUMN x INT")', extra=ALONE)
    limits = folder.config(table_lock_timeout=0.2, table_lock_retries=1)
    with database.engine().connect() as reader:
        reader.execute(sa.text("SELECT * FROM a"))
        error = run_migrations(engine, config=limits).error
        assert "lock timeout" in error.problem
    assert run_migrations(engine, config=limits).migrations == ("002_alter",)


@on_postgresql
def test_session_settings_of_a_migration_do_not_stay_on_the_connection(
    database: Database, folder: Folder
) -> None:
    folder.add("sets", "op.execute(\"SET statement_timeout = '7s'\")")
    pooled = sa.create_engine(database.address, pool_size=1, max_overflow=0)
    run_migrations(pooled, config=folder.config()).raise_for_error()
    with pooled.connect() as connection:
        assert connection.scalar(sa.text("SHOW statement_timeout")) == "0"
    pooled.dispose()


@on_sqlite
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
    folder.add("breaks", 'op.execute("INSERT INTO child VALUES (8)")', extra=ALONE)
    error = run_migrations(engine, config=folder.config()).error
    assert "1 row refers to missing rows" in error.problem
    assert "Not counted: 1 row orphaned before." in error.impact
    assert "runs outside a transaction: what it did before the error stays" in error.impact
    assert database.ask("SELECT count(*) FROM child") == [(2,)]


@on_sqlite
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


@on_sqlite
def test_a_file_that_is_not_a_database_has_its_own_solution(folder: Folder, tmp_path: Path) -> None:
    folder.tables("a")
    odd = tmp_path / "odd.db"
    odd.write_bytes(b"this is no database at all, whatever its name says" * 30)
    engine = sa.create_engine(f"sqlite:///{odd}", poolclass=sa.NullPool)
    error = run_migrations(engine, config=folder.config()).error
    assert isinstance(error, ActionableError)
    said = "Correct DATABASE_URL: the file is not a SQLite database."
    assert (error.code, error.solution) == ("database-refuses", said)


def test_an_error_of_the_server_has_a_solution_for_the_server(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    if KIND == "sqlite":
        full, said = 'op.execute("PRAGMA max_page_count = 1")', "Free space on the disk."
    else:
        full = 'op.execute("SET LOCAL transaction_read_only = on")'
        said = "Connect to the primary: this server takes no writes."
    folder.add("refused", [full, create("a")])
    error = run_migrations(engine, config=folder.config()).error
    assert (error.code, error.solution) == (
        "migration-failed",
        f"{said} Then run it again: migrate latest",
    )
    assert database.tables() == set()


@on_postgresql
@pytest.mark.parametrize(
    ("schema", "solution"),
    [
        ("USAGE", "Grant this user the permission; the owner of the schema or table can."),
        ("CREATE", "Create the schema, or let this user use it: GRANT USAGE ON SCHEMA …"),
    ],
)
def test_a_missing_permission_has_a_matching_solution(
    database: Database, folder: Folder, schema: str, solution: str
) -> None:
    role = f"weak_{uuid4().hex}"
    database.ask("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    database.ask(f"CREATE ROLE {role} LOGIN; GRANT {schema} ON SCHEMA public TO {role}")
    weak = sa.create_engine(sa.make_url(database.address).set(username=role))
    folder.tables("a")
    error = run_migrations(weak, config=folder.config()).error
    weak.dispose()
    database.ask(f"DROP OWNED BY {role}; DROP ROLE {role}")
    assert error.solution == f"{solution} Then run it again: migrate latest"


@on_postgresql
def test_a_missing_user_is_not_reported_as_a_missing_database(
    database: Database, folder: Folder
) -> None:
    nobody = sa.create_engine(sa.make_url(database.address).set(username="nobody_of_that_name"))
    error = run_migrations(nobody, config=folder.config()).error
    assert (
        error.solution == "Let this user log in (pg_hba.conf), or correct the user in DATABASE_URL."
    )
