"""A new migration on the command line: written, linted, run, edited, undone, squashed."""

import json
import sys
from pathlib import Path

import pytest

from {{ cookiecutter.package_name }} import migrations
from {{ cookiecutter.package_name }}.cli.common import database
from {{ cookiecutter.package_name }}.cli.progress import Bar
from {{ cookiecutter.package_name }}.migrate import Registration, runner
from {{ cookiecutter.package_name }}.words import count

from .client import Command
from .migration_files import add, execute, names
from .schema import BEFORE_SEEDS

MAKE_PENS = """op.execute("CREATE TABLE pens (colour TEXT)")"""
DROP_PENS = """op.execute("DROP TABLE pens")"""

# From now on the database refuses every connection of this engine.
LOSE_CONNECTION = """from sqlalchemy import event, exc

    def refuse(*_: object) -> None:
        raise exc.OperationalError("connect", {}, Exception("gone"))

    event.listen(op.get_bind().engine.pool, "checkout", refuse)
    refuse()"""


def test_a_new_migration_is_created_linted_run_and_rolled_back(
    command: Command, versions: Path
) -> None:
    for line in ("migrate latest", *BEFORE_SEEDS):
        command(line)
    code, output = command("migrate make add_pens")
    (path,) = versions.glob("*_add_pens.py")
    assert (code, output.splitlines()[0].startswith("Created ")) == (0, True)
    assert "It is blank: " in output  # models and database agree
    path.unlink()
    made = add(versions, "add_pens", MAKE_PENS, DROP_PENS).stem
    assert command("migrate lint")[0] == 0
    assert "CREATE TABLE pens" in command("migrate latest --sql")[1]
    assert command("migrate status")[1].splitlines()[-1].startswith(f"{made}\t\t\t\tpending")
    for words, done in (("up", "run"), ("down", "rolled back")):
        code, output = command(f"migrate {words} --verbose")
        assert (code, output.splitlines()[:2]) == (0, [f"Batch 2 {done}: 1 migration", made])


def test_a_run_with_nothing_to_do_does_not_take_the_lock(
    command: Command, versions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("nobody needs the lock")

    command("migrate latest")
    monkeypatch.setattr(runner, "migration_lock", refuse)
    assert command("migrate latest") == (0, "Already up to date")


def test_an_edited_applied_migration_stops_runs_until_allow_changed(
    command: Command, versions: Path
) -> None:
    path = add(versions, "add_pens", MAKE_PENS, DROP_PENS)
    command("migrate latest")
    before = path.read_text(encoding="utf-8")
    path.write_text(before + "\n# A comment changes nothing.\n", encoding="utf-8")
    assert command("migrate latest") == (0, "Already up to date")
    path.write_text(before.replace("pens (colour TEXT)", "pens (ink TEXT)"), encoding="utf-8")
    printed = command("migrate status")[1].splitlines()
    assert f"{path.stem} changed after it was applied." in printed
    assert printed[-1].endswith("\tchanged")
    code, output = command("migrate latest --json")
    error = json.loads(output.splitlines()[0])["error"]
    assert (code, error["code"], path.stem in error["problem"]) == (1, "files-changed", True)
    assert command("migrate latest --allow-changed") == (0, "Already up to date")
    assert command("migrate status")[1].splitlines()[-1].endswith("\tcompleted")


def test_a_missing_file_is_reported(command: Command, versions: Path) -> None:
    path = add(versions, "add_pens", MAKE_PENS, DROP_PENS)
    add(versions, "do_nothing")
    command("migrate latest")
    path.unlink()
    code, output = command("migrate status")
    assert (code, f"The file of {path.stem} is missing." in output) == (1, True)
    assert command("migrate latest")[0] == 1


def test_an_older_release_runs_on_a_newer_schema_without_contracts(
    command: Command, versions: Path
) -> None:
    newer = add(versions, "add_pens", MAKE_PENS, DROP_PENS)
    contract = add(versions, "take_away", phase="contract")
    taken_away = contract.read_text(encoding="utf-8")
    contract.unlink()
    command("migrate latest")
    kept = newer.read_text(encoding="utf-8")
    newer.unlink()
    code, output = command("migrate latest")
    assert (code, output.splitlines()[0]) == (0, "Already up to date")
    ahead = f"The schema is ahead of this release by 1 migration: {newer.stem}"
    assert ahead in command("migrate status")[1].splitlines()
    newer.write_text(kept, encoding="utf-8")
    contract.write_text(taken_away, encoding="utf-8")
    assert command("migrate latest")[0] == 0
    newer.unlink()
    contract.unlink()
    code, output = command("migrate latest --json")
    assert (code, "contract-unknown" in output, contract.stem in output) == (1, True, True)
    code, output = command("migrate status")
    assert (code, "This release does not have 1 applied contract" in output) == (1, True)


def test_a_migration_that_was_not_recorded_is_an_error(command: Command, versions: Path) -> None:
    command("migrate latest")
    undone = 'event.listen(op.get_bind(), "commit", lambda one: one.connection.rollback())'
    made = add(versions, "undo_itself", up=f"from sqlalchemy import event\n\n    {undone}").stem
    code, output = command("migrate latest --json")
    assert (code, json.loads(output.splitlines()[0])["error"]["code"]) == (1, "not-recorded")
    assert made in output


def test_system_exit_in_a_migration_is_an_error_of_that_migration(
    command: Command, versions: Path
) -> None:
    made = add(versions, "leave", "raise SystemExit(0)").stem
    code, output = command("migrate latest")
    assert (code, output.startswith(f"Problem:  {made}: ")) == (1, True)


def test_ctrl_c_reports_what_is_applied(command: Command, versions: Path) -> None:
    command("migrate latest")
    add(versions, "stop", "raise KeyboardInterrupt")
    code, output = command("migrate latest")
    assert (code, output.splitlines()[0]) == (130, "Problem:  The run was interrupted.")
    assert "Applied and recorded before that: nothing." in output


def test_a_lost_connection_is_reported_as_such(command: Command, versions: Path) -> None:
    command("migrate latest")
    made = add(versions, "lose_it", up=LOSE_CONNECTION).stem
    code, output = command("migrate latest --json")
    error = json.loads(output.splitlines()[0])["error"]
    assert (code, error["code"], made in error["problem"]) == (1, "database-lost", True)
    assert command("migrate status")[1].splitlines()[-1].endswith("\tpending")


def test_a_migration_that_commits_by_itself_is_recorded(command: Command, versions: Path) -> None:
    command("migrate latest")
    made = add(versions, "add_pens", f"{MAKE_PENS}\n    op.get_bind().commit()", DROP_PENS).stem
    assert command("migrate latest --verbose")[1].splitlines()[:2] == [
        "Batch 2 run: 1 migration",
        made,
    ]
    assert command("migrate status")[1].splitlines()[-1].endswith("\tcompleted")
    assert command("migrate latest") == (0, "Already up to date")


def test_a_failed_migration_is_rolled_back_and_listed_in_the_history(
    command: Command, versions: Path
) -> None:
    command("migrate latest")
    broken = f"{MAKE_PENS}\n    op.execute('SELECT 1 FROM nowhere')"
    made = add(versions, "add_pens", up=broken)
    code, output = command("migrate latest")
    assert (code, "Nothing was changed" in output) == (1, True)
    assert output.startswith(f"Problem:  {made.stem} failed: ")
    failed = command("migrate history --failed")[1]
    assert "failed" in failed and made.stem in failed and "nowhere" in failed
    made.write_text(made.read_text(encoding="utf-8").replace(broken, MAKE_PENS), encoding="utf-8")
    assert command("migrate latest") == (0, "Batch 2 run: 1 migration")
    runs = json.loads(command("migrate history --json")[1])
    assert [run["state"] for run in runs] == ["applied", "failed", "applied"]
    assert len(command("migrate history --limit 1")[1].splitlines()) == 1
    stats = command("migrate stats")[1]
    assert stats.startswith("2 runs, 0 rolled back since, 1 failed.") and "CREATE TABLE" in stats


def test_lint_finds_a_migration_that_breaks_running_code(
    command: Command, versions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command("migrate latest")
    made = add(versions, "drop_names", up='op.drop_column("users", "name")')
    code, output = command("migrate lint")
    assert (code, made.stem in output) == (1, True)
    code, output = command("migrate lint --json")
    assert (code, json.loads(output)["success"]) == (1, False)
    assert "::" in command("migrate lint --format github")[1]
    monkeypatch.setenv("MIGRATION_LINT", "error")
    assert command("migrate latest")[0] == 1
    for wrong in ("--since 001 001", "--json --format github"):
        assert command(f"migrate lint {wrong}")[0] == 2


def test_a_contract_waits_for_older_instances_unless_it_is_forced(
    command: Command, versions: Path
) -> None:
    command("migrate latest")
    with database() as (engine, config):
        Registration(engine, config).register()
    made = add(versions, "take_away", phase="contract").stem
    code, output = command("migrate latest")
    assert (code, output.startswith(f"Held back: {made}, by the instance on ")) == (0, True)
    output = command("migrate status")[1]
    assert f"Held back: {made}" in output
    assert output.splitlines()[-1].endswith("held back (contract)")
    code, output = command("migrate contract")
    assert (code, f"{made} is held back by the instance on " in output) == (1, True)
    assert command("migrate contract --force") == (0, "Batch 2 run: 1 migration")


def test_verify_and_diff_report_manual_changes_as_text_and_json(
    command: Command, tmp_path: Path
) -> None:
    command("migrate latest")
    assert command("migrate verify")[1].startswith("In step")
    kept = tmp_path / "kept.txt"
    assert command(f"migrate snapshot --out {kept}")[0] == 0
    execute("CREATE TABLE pens (colour TEXT)")
    code, output = command("migrate verify")
    assert (code, "pens" in output, "changed since the last run" in output) == (1, True, True)
    assert json.loads(command("migrate verify --json")[1])["success"] is False
    code, output = command(f"migrate diff chain {kept}")
    assert (code, output) == (0, "")
    after = tmp_path / "after.txt"
    command(f"migrate snapshot --out {after}")
    code, output = command(f"migrate diff {kept} {after}")
    assert (code, "+ table pens" in output.splitlines()) == (1, True)
    assert json.loads(command(f"migrate diff {after} {kept} --json")[1])[0]["change"] == "missing"


def test_an_existing_database_is_taken_over_and_never_rolled_back(
    command: Command,
) -> None:
    command("migrate latest")
    execute("DROP TABLE migration_history", "DROP TABLE alembic_version")
    number = len(names(migrations.config.versions))
    code, output = command("migrate latest --json")
    error = json.loads(output.splitlines()[0])["error"]
    assert (code, error["code"]) == (1, "tables-without-history")
    assert "migrate baseline" in output
    output = f"Taken over: {count(number, 'migration')} recorded, none run."
    assert command("migrate baseline")[1].splitlines()[0] == output
    stay = f"{count(number, 'migration')} were taken over or squashed, and stay"
    assert command("migrate rollback") == (0, f"Already at the base migration: {stay}")


def test_migrations_that_are_not_in_git_are_not_squashed(command: Command, versions: Path) -> None:
    command("migrate latest")
    before = names(versions)
    for words in ("squash", "squash --json"):
        code, output = command(f"migrate {words} {before[-1]}")
        assert (code, "Commit them, then squash." in output) == (1, True)
    assert names(versions) == before


def test_on_a_terminal_status_and_stats_are_tables(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    assert command("migrate latest")[0] == 0
    assert "Applied (UTC)" in command("migrate status")[1]
    assert "Longest" in command("migrate stats")[1]


def test_the_progress_bar_shows_the_running_migration_and_disappears() -> None:
    bar = Bar()
    bar.run_started(["001_a", "002_b"], is_upgrade=True)
    assert bar._shown is not None
    (task,) = bar._shown.tasks
    bar.migration_started("002_b", is_upgrade=True)
    assert (task.description, task.completed, task.total) == ("002_b", 1, 2)
    bar.migration_finished("002_b", 0.1, is_upgrade=True)
    assert task.completed == 2
    bar.run_finished(None)
    assert bar._shown is None
