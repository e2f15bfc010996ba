"""The template's own tools: the quick loop, and its helpers."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools import inside, process, services
from tools.process import TimedOut, end_group, run, succeed
from tools.services import INSIDE, TEMPLATE

DATABASES = "sqlite, postgresql, postgresql-multi-tenant"


# -- A process that takes too long ---------------------------------------------------------------


def started(script: str, sign: Path) -> subprocess.Popen[str]:
    """A shell with its own process group, as ``run`` starts one, after it has written the sign."""
    shell = subprocess.Popen(
        ["sh", "-c", f"{script}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not sign.exists():
        assert shell.poll() is None
        time.sleep(0.01)
    return shell


def test_a_timeout_shows_the_output_so_far(tmp_path: Path) -> None:
    script = "echo so far; echo and this >&2; exec sleep 600"
    for seconds in (0.5, 5, 50):  # a busy machine may need longer to print two lines
        with pytest.raises(TimedOut) as ended:
            run("sh", "-c", script, cwd=tmp_path, timeout=seconds)
        message = str(ended.value)
        if "and this" in message:
            break
    assert message.endswith(f" was ended after {seconds:g} seconds\nso far\nand this\n")


def test_a_timeout_ends_the_whole_process_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        process, "GRACE_SECONDS", 0.1
    )  # background processes of a shell ignore interrupts
    sign = tmp_path / "sign"
    shell = started(f"sleep 600 & echo so far; touch '{sign}'; sleep 600", sign)
    # Both sleeping processes hold the pipe, so this returns when both have ended.
    assert end_group(shell) == ("so far\n", "")


def test_a_process_that_ignores_the_interrupt_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "GRACE_SECONDS", 0.1)
    sign = tmp_path / "sign"
    shell = started(f"trap '' INT; echo so far; touch '{sign}'; sleep 600; sleep 600", sign)
    assert end_group(shell) == ("so far\n", "")
    assert shell.returncode == -9


# -- Warm copies ---------------------------------------------------------------------------------


def test_taking_over_a_bake_changes_only_files_that_differ(tmp_path: Path) -> None:
    rendered, place = tmp_path / "rendered", tmp_path / "place"
    (rendered / "src").mkdir(parents=True)
    for name in ("same", "changed", "gone"):
        (rendered / "src" / name).write_text(name)
    services.take_over(rendered, place)
    (place / "src" / "__pycache__").mkdir()
    (place / "src" / "__pycache__" / "same.pyc").write_text("kept")
    before = (place / "src" / "same").stat()

    (rendered / "src" / "changed").write_text("anew")
    (rendered / "src" / "gone").unlink()
    (rendered / "new").write_text("new")
    services.take_over(rendered, place)
    there = {path.as_posix(): (place / path).read_text() for path in services.files(place)}
    assert there == {
        "new": "new",
        "src/__pycache__/same.pyc": "kept",
        "src/changed": "anew",
        "src/same": "same",
    }
    assert (place / "src" / "same").stat() == before


def test_a_warm_copy_equals_a_new_bake(tmp_path: Path) -> None:
    baked = services.bake(tmp_path, database="postgresql")
    with services.warm_copy("postgresql") as copy:
        for path in services.files(baked):
            assert (copy / path).read_bytes() == (baked / path).read_bytes(), path


# -- make test-service, make test-engine ---------------------------------------------------------


def test_an_unknown_database_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert inside.main("test-engine", "mysql", "") == inside.MISUSE
    problem, impact, solution = capsys.readouterr().err.splitlines()
    assert problem == 'Problem:  There is no database "mysql".'
    assert impact == "Impact:   No test ran."
    assert solution == f"Solution: make test-engine database=… with one of: {DATABASES}"


def test_a_keyword_without_a_match_is_refused_with_the_list_of_files(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert inside.main("test-service", "sqlite", "nothing_like_it") == inside.MISUSE
    problem, _, solution = capfd.readouterr().err.splitlines()[-3:]
    assert problem == 'Problem:  No test matches "nothing_like_it".'
    assert "test_accounts, " in solution and "test_users" in solution


@pytest.mark.parametrize("only", ["batches", "test_batches", "test_batches.py"])
def test_only_accepts_a_file_name_with_or_without_prefix_and_suffix(only: str) -> None:
    folder = services.inside_folder("sqlite")
    assert inside.chosen(folder, only) == [str(folder / "test_batches.py")]


def test_only_is_otherwise_a_keyword_expression_of_pytest() -> None:
    folder = services.inside_folder("postgresql-multi-tenant")
    assert inside.chosen(folder, "role and not pool") == [str(folder), "-k", "role and not pool"]
    assert inside.chosen(folder, "") == [str(folder)]


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_values_for_make_are_not_executed(tmp_path: Path) -> None:
    typed = f"""a"'$(shell touch {tmp_path}/made)`touch {tmp_path}/made`"""
    done = run("make", "test-service", f"database={typed}", cwd=TEMPLATE)
    assert done.returncode == 2
    assert f'Problem:  There is no database "{typed}".' in done.stderr
    assert list(tmp_path.iterdir()) == []


# -- pytest tests/inside -------------------------------------------------------------------------


@pytest.mark.thorough
def test_pytest_runs_a_file_of_tests_inside_in_every_matching_service() -> None:
    chosen = ("tests/inside/engine/test_seeds.py", "-k", "order")
    output = succeed(sys.executable, "-m", "pytest", *chosen, cwd=TEMPLATE)
    assert [line for line in output.splitlines() if line.startswith("==")] == [
        "== sqlite",
        "== postgresql",
    ]
    assert output.count(" passed") == 2


def test_tests_inside_cannot_be_mixed_with_other_tests() -> None:
    both = (INSIDE / "engine", TEMPLATE / "tests" / "template" / "test_tools.py")
    done = run(sys.executable, "-m", "pytest", *both, cwd=TEMPLATE)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "tests/inside runs inside a service" in done.stderr


@pytest.mark.parametrize(
    ("path", "is_inside"),
    [
        ("tests/inside", True),
        ("tests/inside/tenants/test_all_tenants.py::test_a", True),
        ("tests", False),
        ("tests/template", False),
    ],
)
def test_tests_inside_are_recognised_by_their_path(
    path: str, is_inside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(TEMPLATE)
    assert inside.is_inside(path) is is_inside
