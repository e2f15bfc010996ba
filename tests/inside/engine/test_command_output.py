"""The output of the commands: tables on a terminal, plain text in a pipe, JSON for programs."""

from __future__ import annotations

import json
import re
from datetime import datetime

import pytest
import sqlalchemy as sa
from my_service.migrate.lock import migration_lock

from engine.support import Command, Database, Folder
from engine.terminal import on_a_terminal


def test_the_commands_print_the_sentences_of_knex(command: Command, folder: Folder) -> None:
    assert command("migrate current") == (0, "none\n", "")
    folder.tables("a", "b")
    assert command("migrate latest") == (0, "Batch 1 run: 2 migrations\n", "")
    assert command("migrate latest") == (0, "Already up to date\n", "")
    assert command("migrate up") == (0, "Already up to date\n", "")
    folder.tables("c", "d")
    assert command("migrate up --verbose") == (0, "Batch 2 run: 1 migration\n003_c\n", "")
    assert command("migrate latest --verbose") == (0, "Batch 3 run: 1 migration\n004_d\n", "")
    assert command("migrate current") == (0, "004\n", "")
    assert command("migrate rollback") == (0, "Batch 3 rolled back: 1 migration\n", "")
    assert command("migrate down --verbose") == (
        0,
        "Batch 2 rolled back: 1 migration\n003_c\n",
        "",
    )
    assert command("migrate rollback --verbose") == (
        0,
        "Batch 1 rolled back: 2 migrations\n002_b\n001_a\n",
        "",
    )
    for undo in ("rollback", "rollback --all", "down"):
        assert command(f"migrate {undo}") == (0, "Already at the base migration\n", "")
    assert command("migrate unlock") == (0, "Nobody holds the migration lock\n", "")


def test_in_production_rollback_all_needs_a_confirmation(
    command: Command, folder: Folder, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.tables("a")
    command("migrate latest")
    monkeypatch.setenv("ENVIRONMENT", "production")
    code, out, err = command("migrate rollback --all")
    assert (code, out) == (1, "")
    assert "Solution: To confirm: migrate rollback --all --yes" in err
    assert database.tables() == {"a"}
    assert command("migrate rollback --all --yes")[0] == 0
    assert database.tables() == set()


def test_a_failure_exits_1_with_three_lines_and_misuse_exits_2(
    command: Command, folder: Folder
) -> None:
    folder.add("bad", "1 / 0")
    code, out, err = command("migrate latest")
    assert (code, out) == (1, "")
    assert [line.split(":")[0] for line in err.splitlines()] == [
        "Problem",
        "Impact",
        "Solution",
    ]
    assert command("migrate sideways")[0] == 2


def test_in_a_pipe_status_is_plain_text(command: Command, folder: Folder) -> None:
    folder.tables("a", "b")
    command("migrate up")
    code, out, err = command("migrate list")
    assert (code, err) == (0, "")
    first, second = (line.split("\t") for line in out.splitlines())
    assert (first[0], first[1], first[4]) == ("001_a", "1", "completed")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", first[2])
    assert re.fullmatch(r"\d+\.\d{3}", first[3])
    assert second == ["002_b", "", "", "", "pending"]
    status = command("migrate status")[1]
    assert status == f"Current: 001. 1 completed, 1 pending.\n{out}"


def test_results_and_status_are_printed_as_json(command: Command, folder: Folder) -> None:
    folder.tables("a", "b")
    result = json.loads(command("migrate up --json")[1])
    assert result.pop("duration") > 0
    assert result == {"success": True, "batch": 1, "migrations": ["001_a"], "error": None}
    for word in ("status", "list"):
        status = json.loads(command(f"migrate {word} --json")[1])
        (done,) = status["completed"]
        assert (done["name"], done["batch"], done["changed"]) == ("001_a", 1, False)
        assert datetime.fromisoformat(done["applied_at"]).tzinfo
        assert (status["pending"], status["current"]) == (["002_b"], "001")
    folder.add("bad", "1 / 0")
    code, out, _ = command("migrate latest --json")
    assert code == 1
    assert json.loads(out)["error"]["problem"].startswith("003_bad failed: ZeroDivisionError")


def test_on_a_terminal_status_is_a_table(database: Database, folder: Folder) -> None:
    folder.tables("a")
    shown = on_a_terminal(database, folder, "status", COLUMNS="100")
    assert "Current: none. 0 completed, 1 pending." in shown
    assert "Migration" in shown and "┃" in shown and "001_a" in shown


def test_read_only_commands_write_nothing_and_take_no_lock(
    command: Command, folder: Folder, database: Database, engine: sa.Engine
) -> None:
    folder.tables("a")
    with migration_lock(engine, 1):
        for word in ("status", "list", "current"):
            assert command(f"migrate {word}")[0] == 0
    assert database.schema() == []
    assert command("migrate latest")[0] == 0
    before = database.all()
    folder.tables("b")
    with migration_lock(engine, 1):
        for word in ("status", "list", "current", "latest --sql"):
            assert command(f"migrate {word}")[0] == 0
        code, out, _ = command("migrate unlock")
        assert code == 0
        assert re.match(r"Held by migrate on .+ pid \d+ \(process \d+\) since .+ UTC\n", out)
    assert database.all() == before
