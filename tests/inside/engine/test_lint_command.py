"""``migrate lint``: the choice of migrations, the database, and the results."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
from my_service.errors import ActionableError
from my_service.migrate import added_migrations, lint_migrations, migrate_up, run_migrations
from my_service.settings import Settings
from my_service.startup import start_database

from engine.fixtures import on_server
from engine.support import KIND, Command, Database, Folder, create, printed_json

on_postgresql = pytest.mark.skipif(KIND == "sqlite", reason="SQLite is linted in memory")
DROP = 'op.drop_table("a")'
MAKE = create("a")


@pytest.fixture
def dangerous(engine: sa.Engine, folder: Folder) -> Folder:
    """Two applied tables, and a pending migration that drops one."""
    folder.tables("a", "b")
    run_migrations(engine, config=folder.config()).raise_for_error()
    folder.add("drop_a", DROP, MAKE)
    return folder


# -- Which migrations ----------------------------------------------------------------------------


def test_linting_pending_migrations_does_not_change_the_database(
    command: Command, database: Database, dangerous: Folder
) -> None:
    before = database.all()
    code, out, _ = command("migrate lint")
    assert code == 1
    assert "Old code uses table a" in out
    assert out.endswith("1 migration linted, 1 finding.\n")
    assert database.all() == before


def test_without_findings_the_exit_code_is_0(command: Command, folder: Folder) -> None:
    folder.tables("a", "b")
    folder.add("drop_a", DROP, MAKE)  # the same run made it
    code, out, _ = command("migrate lint")
    assert (code, out.splitlines()[-1]) == (0, "3 migrations linted, 0 findings.")


def test_without_pending_migrations_nothing_is_linted(
    command: Command, engine: sa.Engine, folder: Folder
) -> None:
    folder.tables("a")
    run_migrations(engine, config=folder.config()).raise_for_error()
    assert command("migrate lint")[:2] == (0, "0 migrations linted, 0 findings.\n")


def test_named_migrations_are_linted_after_applying_those_before_them(
    engine: sa.Engine, folder: Folder
) -> None:
    folder.tables("a", "b")
    folder.add("drop_a", DROP, MAKE)
    folder.add("drop_b", 'op.drop_table("b")', create("b"))
    report = lint_migrations(engine, ["drop_b", "001_a"], config=folder.config())
    assert report.linted == ("001_a", "004_drop_b")
    assert [finding.migration for finding in report.findings] == ["004_drop_b"]


def test_since_lints_the_migrations_after_a_revision(command: Command, folder: Folder) -> None:
    folder.tables("a", "b")
    folder.add("drop_a", DROP, MAKE)
    folder.add("more", create("c"), 'op.drop_table("c")')
    code, out, _ = command("migrate lint --since 002")
    assert (code, out.splitlines()[-1]) == (1, "2 migrations linted, 1 finding.")
    assert command("migrate lint --since 003_drop_a")[0] == 0
    code, _, err = command("migrate lint --since 9")
    assert (code, "No migration is called" in err) == (1, True)


@pytest.mark.parametrize("line", ["a --since 001", "--added a", "--json --format github"])
def test_contradictory_options_are_misuse(command: Command, folder: Folder, line: str) -> None:
    folder.tables("a", "b")
    assert command(f"migrate lint {line}")[0] == 2


# -- Git -----------------------------------------------------------------------------------------


def git(folder: Folder, *arguments: str) -> None:
    """Run git where the migrations are."""
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(folder.path), *who, *arguments]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def branch(folder: Folder) -> Folder:
    """A branch of main: main makes two tables, the branch drops one of them."""
    git(folder, "init", "--initial-branch=main")
    folder.tables("a", "b")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "tables")
    git(folder, "switch", "-c", "feature")
    folder.add("drop_a", DROP, MAKE)
    return folder


@pytest.mark.parametrize("is_committed", [True, False])
def test_added_lints_only_migrations_of_the_branch(
    command: Command, branch: Folder, is_committed: bool
) -> None:
    if is_committed:
        git(branch, "add", ".")
        git(branch, "commit", "-m", "drop")
    code, out, _ = command("migrate lint --added")
    assert (code, out.splitlines()[-1]) == (1, "1 migration linted, 1 finding.")


def test_added_works_in_a_hook_of_a_linked_worktree(
    branch: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(branch.path / ".git"))  # as git does for such a hook
    assert added_migrations(branch.config()) == ["003_drop_a"]


def test_added_needs_no_database_if_the_branch_adds_no_migration(
    command: Command, branch: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    branch.file("003_drop_a").unlink()
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    assert command("migrate lint --added") == (0, "0 migrations linted, 0 findings.\n", "")


def test_added_ignores_newer_migrations_of_the_default_branch(branch: Folder) -> None:
    git(branch, "stash", "--include-untracked")
    git(branch, "switch", "main")
    branch.add("later", create("d"))
    git(branch, "add", ".")
    git(branch, "commit", "-m", "later")
    git(branch, "switch", "feature")
    git(branch, "stash", "pop")
    assert added_migrations(branch.config()) == ["003_drop_a"]


def test_added_compares_a_pull_request_with_its_target_branch(
    branch: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(branch, "add", ".")
    git(branch, "commit", "-m", "drop")
    git(branch, "update-ref", "refs/remotes/origin/release", "feature")
    monkeypatch.setenv("GITHUB_BASE_REF", "release")
    assert added_migrations(branch.config()) == []


def test_added_without_a_repository_lints_all_pending_with_a_notice(
    command: Command, dangerous: Folder
) -> None:
    code, out, err = command("migrate lint --added")
    assert (code, out.splitlines()[-1]) == (1, "1 migration linted, 1 finding.")
    assert "no default branch" in err


def test_added_without_git_lints_all_pending(
    dangerous: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert added_migrations(dangerous.config()) is None


# -- Reports -------------------------------------------------------------------------------------


def test_the_report_can_be_json(command: Command, dangerous: Folder) -> None:
    code, out, _ = command("migrate lint --json")
    shown = json.loads(out)
    assert (code, shown["success"], shown["linted"]) == (1, False, ["003_drop_a"])
    assert shown["findings"][0]["code"] == "breaks-old-code"


def test_the_github_format_has_paths_relative_to_the_checkout(
    command: Command, dangerous: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", str(dangerous.path))
    code, out, _ = command("migrate lint --format github")
    assert code == 1
    assert out.startswith("::error file=versions/003_drop_a.py,line=11,title=breaks-old-code")


def test_lint_ignore_of_a_file_accepts_a_finding(command: Command, dangerous: Folder) -> None:
    accept = 'lint_ignore = {"breaks-old-code": "nobody ever used it"}'
    edit(dangerous.file("003_drop_a"), "down_revision", f"{accept}\ndown_revision")
    code, out, _ = command("migrate lint")
    assert code == 0
    assert "(nobody ever used it)" in out


def test_lint_ignore_must_be_a_dict(command: Command, dangerous: Folder) -> None:
    edit(dangerous.file("003_drop_a"), "down_revision", 'lint_ignore = ["lossy"]\ndown_revision')
    code, _, err = command("migrate lint")
    assert code == 1
    assert 'lint_ignore = {"code": "reason"}' in err


def edit(path: Path, old: str, new: str) -> None:
    """Change a file's text once."""
    path.write_text(path.read_text().replace(old, new, 1))


# -- The scratch database ------------------------------------------------------------------------


def test_earlier_migrations_are_applied_one_at_a_time(engine: sa.Engine, folder: Folder) -> None:
    folder.tables("a")
    folder.add("index", 'op.create_index("i", "a", ["id"])', extra="transaction = False")
    folder.add("drop_a", DROP, MAKE)
    report = lint_migrations(engine, ["drop_a"], config=folder.config())
    assert report.linted == ("003_drop_a",)


def test_an_earlier_migration_that_needs_rows_is_named(engine: sa.Engine, folder: Folder) -> None:
    folder.tables("a")
    folder.add("needs_rows", "assert op.get_bind().scalar(sa.text('SELECT id FROM a'))")
    folder.tables("b")
    with pytest.raises(ActionableError, match="002_needs_rows does not run on an empty") as error:
        lint_migrations(engine, ["b"], config=folder.config())
    assert error.value.code == "does-not-run-on-empty"


def test_a_linted_migration_that_fails_is_a_finding(engine: sa.Engine, folder: Folder) -> None:
    folder.add("wrong", 'op.execute("SELECT nothing")')
    (finding,) = lint_migrations(engine, config=folder.config()).findings
    assert finding.code == "fails"


def test_lint_small_tables_excludes_tables_from_findings(
    command: Command, engine: sa.Engine, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.tables("a", "b")
    run_migrations(engine, config=folder.config()).raise_for_error()
    folder.add("fill", 'op.execute("UPDATE a SET id = id")')
    assert command("migrate lint")[0] == 1
    monkeypatch.setenv("LINT_SMALL_TABLES", "b, a")
    assert command("migrate lint")[0] == 0


@on_postgresql
def test_the_scratch_database_is_on_the_server_of_lint_database_url(
    command: Command,
    database: Database,
    dangerous: Folder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LINT_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    assert command("migrate lint")[0] == 1
    assert "127.0.0.1:1" in command("migrate lint")[2]
    # If the pending migrations are not needed, the service's database need not exist.
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    monkeypatch.setenv("LINT_DATABASE_URL", database.address)
    assert command("migrate lint drop_a")[1].endswith("1 migration linted, 1 finding.\n")


# -- Before migrations run -----------------------------------------------------------------------


@pytest.fixture
def in_production(command: Command, monkeypatch: pytest.MonkeyPatch, database: Database) -> None:
    """Settings with which a production service migrates this database."""
    # The command's own fixture sets development.
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("MIGRATION_BACKUP", "off")
    if KIND == "postgresql":
        url = sa.make_url(database.address).set(password="h8-fjKw_2qq")
        url = url.update_query_dict({"sslmode": "disable"})
        monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))


@pytest.mark.usefixtures("in_production", "dangerous")
def test_in_production_latest_prints_findings_and_continues(
    command: Command, database: Database
) -> None:
    code, out, err = command("migrate latest")
    assert (code, out) == (0, "Batch 2 run: 1 migration\n")
    assert "Old code uses table a" in err
    assert database.tables() == {"b"}


@pytest.mark.usefixtures("in_production", "dangerous")
def test_in_production_latest_does_not_lint_if_migration_lint_is_off(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGRATION_LINT", "off")
    assert command("migrate latest") == (0, "Batch 2 run: 1 migration\n", "")


@pytest.mark.usefixtures("in_production", "dangerous")
@pytest.mark.parametrize("line", ["migrate latest", "migrate up", "migrate contract"])
def test_every_command_that_applies_migrations_lints_first(
    command: Command, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setenv("MIGRATION_LINT", "error")
    code, _, err = command(line)
    assert (code, "findings that would hurt a live site in 003_drop_a" in err) == (1, True)
    monkeypatch.setenv("MIGRATION_LINT", "warn")
    code, _, err = command(line)
    assert (code, "Old code uses table a" in err) == (0, True)


def test_up_lints_only_the_next_migration(
    command: Command, engine: sa.Engine, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGRATION_LINT", "error")
    folder.tables("a")
    run_migrations(engine, config=folder.config()).raise_for_error()
    folder.tables("b")
    folder.add("drop_a", DROP, MAKE)
    assert command("migrate up")[0] == 0
    assert command("migrate up")[0] == 1


@pytest.mark.usefixtures("dangerous")
def test_the_linter_is_not_imported_if_nothing_is_linted(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("my_service.migrate.lint")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setenv("MIGRATION_LINT", "off")
    assert command("migrate latest")[0] == 0
    monkeypatch.setenv("MIGRATION_LINT", "error")
    assert command("migrate latest")[0] == 0  # nothing is pending
    assert not [name for name in sys.modules if name.startswith("my_service.migrate.lint")]


@pytest.mark.usefixtures("in_production", "dangerous")
@pytest.mark.parametrize(("level", "code"), [("warn", 0), ("error", 1)])
def test_a_crash_of_the_linter_stops_a_run_only_at_level_error(
    command: Command, monkeypatch: pytest.MonkeyPatch, level: str, code: int
) -> None:
    def check(*_: object) -> None:
        raise KeyError("a rule of your own")

    judge = import_module("my_service.migrate.lint.judge")
    monkeypatch.setattr(judge, "RULES", (replace(judge.RULES[0], check=check),))
    monkeypatch.setenv("MIGRATION_LINT", level)
    found, _, err = command("migrate latest")
    assert (found, "Linting itself failed: KeyError" in err) == (code, True)


@pytest.mark.parametrize("environment", ["production", "development"])
def test_level_error_refuses_dangerous_migrations_and_runs_others(
    command: Command,
    database: Database,
    dangerous: Folder,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    environment: str,
) -> None:
    if environment == "production":
        request.getfixturevalue("in_production")
    monkeypatch.setenv("MIGRATION_LINT", "error")
    before = database.all()
    code, _, err = command("migrate latest")
    assert code == 1
    assert "Linting has findings that would hurt a live site in 003_drop_a." in err
    assert database.all() == before
    (refused,) = printed_json(command("migrate history --failed --json")[1])
    assert refused["error"]["code"] == "lint-findings"
    edit(dangerous.file("003_drop_a"), "down_revision", 'phase = "contract"\ndown_revision')
    assert command("migrate latest")[0] == 0


def test_level_error_does_not_stop_the_first_run_on_an_empty_database(
    command: Command, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGRATION_LINT", "error")
    folder.add("wrong_way", create("a"))  # its downgrade does nothing
    assert command("migrate latest")[0] == 0


def test_the_service_does_not_start_if_level_error_refuses(
    database: Database, dangerous: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from my_service import migrations

    monkeypatch.setattr(migrations, "config", dangerous.config())
    values = {"_env_file": None, "environment": "development", "database_url": database.address}
    with pytest.raises(ActionableError) as error:
        start_database(Settings(**values, migration_lint="error"))
    assert error.value.code == "lint-findings"
    assert database.tables() == {"a", "b"}
    start_database(Settings(**values)).dispose()
    assert database.tables() == {"b"}


@on_postgresql
@pytest.mark.usefixtures("in_production", "dangerous")
@pytest.mark.parametrize(("level", "code"), [("warn", 0), ("error", 1)])
def test_a_role_without_createdb_stops_a_run_only_at_level_error(
    command: Command, database: Database, monkeypatch: pytest.MonkeyPatch, level: str, code: int
) -> None:
    role = f"lint_{uuid4().hex}"
    on_server(f"CREATE ROLE {role} LOGIN PASSWORD 'h8-fjKw_2qq'")
    try:
        url = sa.make_url(database.address).set(username=role, password="h8-fjKw_2qq")
        monkeypatch.setenv("LINT_DATABASE_URL", url.render_as_string(hide_password=False))
        monkeypatch.setenv("MIGRATION_LINT", level)
        found, _, err = command("migrate latest")
    finally:
        on_server(f"DROP ROLE {role}")
    assert found == code
    assert "permission denied to create database" in err
    assert "CREATEDB" in err


@on_postgresql
@pytest.mark.parametrize(("level", "code"), [("warn", 0), ("error", 1)])
def test_an_unreachable_lint_server_stops_a_run_only_at_level_error(
    command: Command,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    level: str,
    code: int,
) -> None:
    request.getfixturevalue("dangerous")
    request.getfixturevalue("in_production")
    monkeypatch.setenv("MIGRATION_LINT", level)
    nowhere = "postgresql://nobody:h8-fjKw_2qq@127.0.0.1:1/nothing"
    monkeypatch.setenv("LINT_DATABASE_URL", nowhere)
    found, _, err = command("migrate latest")
    assert found == code
    assert "127.0.0.1:1" in err


# -- make ----------------------------------------------------------------------------------------


def test_make_prints_findings_of_the_new_migration(
    command: Command, engine: sa.Engine, folder: Folder
) -> None:
    both = sa.Table("a", folder.metadata, sa.Column("id", sa.Integer, primary_key=True))
    both.append_column(sa.Column("b", sa.Integer))
    folder.add(
        "a",
        'op.create_table("a", sa.Column("id", sa.Integer, primary_key=True), '
        'sa.Column("b", sa.Integer), sa.Column("c", sa.Integer))',
        DROP,
    )
    migrate_up(engine, config=folder.config()).raise_for_error()
    code, out, _ = command("migrate make drop_c")
    assert code == 0
    assert "Old code uses a.c" in out
    assert 'phase = "contract"' in out


def test_make_prints_no_findings_for_a_safe_migration(command: Command, folder: Folder) -> None:
    sa.Table("a", folder.metadata, sa.Column("id", sa.Integer, primary_key=True))
    code, out, err = command("migrate make tables")
    assert (code, out.splitlines()[1:], err) == (0, ["  create table a"], "")


# -- There and back ------------------------------------------------------------------------------


def test_a_downgrade_must_restore_the_exact_schema(engine: sa.Engine, folder: Folder) -> None:
    up = "CREATE TABLE a (id INTEGER NOT NULL PRIMARY KEY, n INTEGER, CHECK (n > 0))"
    folder.add("a", f'op.execute("{up}")', DROP)
    down = [f'op.execute("{up.replace("n > 0", "n > 1")}")']
    folder.add("drop_a", DROP, down, extra='phase = "contract"')
    report = lint_migrations(engine, ["drop_a"], config=folder.config())
    assert {code for one in report.findings for code in one.codes} == {"cannot-be-undone"}


@on_postgresql
def test_a_comment_that_a_downgrade_does_not_remove_is_found(
    engine: sa.Engine, folder: Folder
) -> None:
    folder.tables("a")
    folder.add("note", "op.execute(\"COMMENT ON TABLE a IS 'new'\")")
    (finding,) = lint_migrations(engine, ["note"], config=folder.config()).findings
    assert finding.code == "cannot-be-undone"
    assert "comment" in finding.detail
