"""The command line has Knex's commands."""

import json
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import pytest

from {{ cookiecutter.package_name }}.cli.seed import SEEDS
from {{ cookiecutter.package_name }}.migrations import config
from {{ cookiecutter.package_name }}.web import http_server
from {{ cookiecutter.package_name }}.words import count

from .client import Command
from .database import fresh_database
from .schema import BEFORE_SEEDS, SEED_RUN

NAMES = sorted(path.stem for path in config.versions.glob("[0-9]*.py"))
SEED_NAMES = sorted(path.stem for path in SEEDS.glob("[0-9]*.py"))

COUNT = "1 migration" if len(NAMES) == 1 else f"{len(NAMES)} migrations"


def test_migrate_latest_current_and_rollback_print_what_they_did(command: Command) -> None:
    assert command("migrate current") == (0, "none")
    assert command("migrate latest") == (0, f"Batch 1 run: {COUNT}")
    assert command("migrate latest") == (0, "Already up to date")
    assert NAMES[-1].startswith(command("migrate current")[1])
    assert command("migrate rollback --verbose") == (
        0,
        "\n".join([f"Batch 1 rolled back: {COUNT}", *NAMES[::-1]]),
    )
    assert command("migrate rollback") == (0, "Already at the base migration")
    command("migrate latest")
    assert command("migrate rollback --all") == (0, f"All batches rolled back: {COUNT}")


def test_latest_and_status_print_json(command: Command) -> None:
    code, output = command("migrate latest --json")
    assert (code, json.loads(output)["migrations"]) == (0, NAMES)
    code, output = command("migrate status --json")
    assert (code, json.loads(output)["pending"]) == (0, [])


def test_running_the_seeds_twice_changes_nothing(command: Command) -> None:
    command("migrate latest")
    for line in BEFORE_SEEDS:
        command(line)
    expected = "\n".join([f"Ran {count(len(SEED_NAMES), 'seed')}", *SEED_NAMES])
    assert command(SEED_RUN) == command(SEED_RUN) == (0, expected)


def test_an_error_prints_problem_impact_and_solution(command: Command) -> None:
    code, output = command("migrate up nowhere")
    assert code == 1
    assert [line.partition(":")[0] for line in output.splitlines()] == [
        "Problem",
        "Impact",
        "Solution",
    ]


def test_a_failed_command_with_json_prints_the_error_as_json(command: Command) -> None:
    code, output = command("migrate up nowhere --json")
    first_line, _, lines = output.partition("\n")
    error = json.loads(first_line)["error"]
    assert (code, sorted(error)) == (1, ["code", "impact", "problem", "solution"])
    assert lines.splitlines()[-1].startswith("Solution:")


def test_invalid_settings_with_json_are_printed_as_json(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "none")
    code, output = command("migrate list --json")
    body = json.loads(output.partition("\n")[0])
    assert (code, body["success"], body["error"]["code"]) == (1, False, "settings-invalid")


def test_knex_s_spellings_work(command: Command) -> None:
    assert command("migrate:currentVersion") == command("migrate currentVersion") == (0, "none")
    assert command("migrate:latest")[1].startswith("Batch 1 run")
    for word in ("status", "list", "up", "down", "rollback", "unlock"):
        assert command(f"migrate:{word}")[0] == 0


def test_an_address_in_use_is_an_error_in_three_lines(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST", "x86_64-conda-linux-gnu")  # conda sets it; it is not a setting
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, output = command(f"serve --port {port}")
    assert code == 1
    assert output.startswith(f"Problem:  The service cannot listen on 127.0.0.1, port {port}: ")
    assert f"serve --host 127.0.0.1 --port {port + 1}" in output
    code, output = command("serve --host 192.0.2.1")
    assert (code, "The service cannot listen on 192.0.2.1" in output) == (1, True)


@pytest.fixture
def _outlives_serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that goes on after ``serve``: with the signals that it had, and without its end."""
    monkeypatch.setattr(http_server, "_end", lambda: None)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_outlives_serving")
def test_serve_exits_with_0_after_sigterm(command: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    answers: list[int] = []
    ended = threading.Event()

    def ask_and_stop() -> None:
        while not ended.wait(0.02):
            with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/health/ready") as answer:
                answers.append(answer.status)
                signal.raise_signal(signal.SIGTERM)
                return

    thread = threading.Thread(target=ask_and_stop)
    thread.start()
    code, output = command(f"serve --port {port}")
    ended.set()
    thread.join()
    assert (code, answers) == (0, [200]), output
    assert f"http://127.0.0.1:{port} (Ctrl-C stops it)" in output


def test_every_read_only_command_prints_text_and_json(command: Command) -> None:
    for line in ("migrate latest", *BEFORE_SEEDS):
        assert command(line)[0] == 0
    for line in ("verify", "diff models chain", "history", "stats", "lint", "contract", "list"):
        assert command(f"migrate {line}")[0] == 0
        code, output = command(f"migrate {line} --json")
        assert (code, output[:1]) in [(0, "{"), (0, "[")]


@pytest.fixture
def _unused_database(command: Command, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """For the commands: a restored schema ``public`` has the privileges of a new one."""
    with fresh_database(unused=True) as settings:
        if settings.test_database_url is not None:
            address = settings.test_database_url.get_secret_value()
            monkeypatch.setenv("TEST_DATABASE_URL", address)
        yield


@pytest.mark.usefixtures("_unused_database")
def test_a_backup_is_restored_and_the_replaced_database_is_kept_until_forget(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BACKUP_DIRECTORY", str(tmp_path / "backups"))
    for line in ("migrate latest", *BEFORE_SEEDS):
        command(line)
    assert command("backup list --json") == (0, "[]")
    assert command("backup create")[0] == 0
    (name,) = (one["name"] for one in json.loads(command("backup list --json")[1]))
    assert name in command("backup list")[1]
    assert command(f"backup restore {name}")[0] == 1
    code, output = command(f"backup restore {name} --yes")
    assert (code, f"Restored {name}" in output) == (0, True), output
    kept = command("backup forget")[1].splitlines()[0]
    assert command("backup forget nothing --yes")[0] == 1
    assert command(f"backup forget {kept} --yes") == (0, f"Removed {kept}")
    assert command("backup forget") == (0, "Nothing is kept")
    assert command("migrate latest") == (0, "Already up to date")


def test_misuse_exits_with_2(command: Command) -> None:
    assert command("migrate sideways")[0] == 2
