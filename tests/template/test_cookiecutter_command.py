"""The command, with prompts, and its messages for answers that cannot work."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tools.process import clean_environment, run
from tools.services import TEMPLATE

COOKIECUTTER = str(Path(sys.executable).parent / "cookiecutter")


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """Variables that put cookiecutter's settings and replay files into a separate folder."""
    config = tmp_path / "cookiecutter.yaml"
    config.write_text(
        f"cookiecutters_dir: {tmp_path / 'templates'}\nreplay_dir: {tmp_path / 'replay'}\n"
    )
    return {"COOKIECUTTER_CONFIG": str(config), "TERM": "dumb", "PWD": str(tmp_path)}


def ask(home: dict[str, str], folder: Path, answers: list[str]) -> str:
    """Answer one prompt after the other, as at a terminal; return the screen."""
    child = pexpect.spawn(
        COOKIECUTTER,
        [str(TEMPLATE)],
        cwd=str(folder),
        env=clean_environment(home),
        encoding="utf-8",
        dimensions=(50, 200),
        timeout=30,
    )
    screen = ""
    for number, answer in enumerate(answers, 1):
        child.expect_exact(f"[{number}/8]")
        screen += child.before or ""
        child.expect(r"\): ")
        screen += child.before or ""
        child.sendline(answer)
    child.expect(pexpect.EOF)
    screen += child.before or ""
    child.close()
    assert child.exitstatus == 0, screen
    return screen


def test_accepting_every_default_gives_the_default_service(
    home: dict[str, str], tmp_path: Path
) -> None:
    screen = ask(home, tmp_path, [""] * 8)
    assert (tmp_path / "my-service" / "src" / "my_service" / "database" / "sqlite.py").exists()
    assert "1 - SQLite " in screen
    assert "my-service is ready." in screen
    assert "  cd my-service" in screen


def test_typed_answers_are_used_unchanged(home: dict[str, str], tmp_path: Path) -> None:
    answers = [
        "{{ 7 * 7 }} Tea & Cakes",
        "",
        "",
        "",
        'Ann "AJ" O\\Neil',
        "ann@example.com",
        "2",
        "4",
    ]
    ask(home, tmp_path, answers)
    project = tmp_path / "service-7-7-tea-cakes"
    assert (project / "README.md").read_text().startswith("# {{ 7 * 7 }} Tea & Cakes\n")
    assert 'name = "Ann \\"AJ\\" O\\\\Neil"' in (project / "pyproject.toml").read_text()
    assert (project / "src" / "service_7_7_tea_cakes" / "database" / "postgresql.py").exists()
    assert "All rights reserved" in (project / "LICENSE").read_text()


def test_the_command_printed_by_a_refusal_works(home: dict[str, str], tmp_path: Path) -> None:
    bad = ["project_slug=My Slug", "package_name=json", "author_name=Ann\nO'Neil", "author_email=x"]
    refused = run(COOKIECUTTER, TEMPLATE, "--no-input", *bad, cwd=tmp_path, variables=home)
    assert refused.returncode == 1
    assert not any(path.is_dir() and path.name != "replay" for path in tmp_path.iterdir())

    (command,) = [
        line for line in refused.stderr.splitlines() if line.startswith("cookiecutter --no-input")
    ]
    assert "--output-dir" not in command
    _, *arguments = shlex.split(command)
    done = run(COOKIECUTTER, *arguments, cwd=tmp_path, variables=home)
    assert done.returncode == 0, done.stderr
    assert "Ann O'Neil" in (tmp_path / "my-slug" / "LICENSE").read_text()


def test_a_misspelt_choice_in_a_replay_file_is_refused(
    home: dict[str, str], tmp_path: Path
) -> None:
    run(COOKIECUTTER, TEMPLATE, "--no-input", cwd=tmp_path, variables=home)
    shutil.rmtree(tmp_path / "my-service")
    (replay,) = (tmp_path / "replay").iterdir()
    context: dict[str, Any] = json.loads(replay.read_text())
    context["cookiecutter"]["database"] = "postgres"
    replay.write_text(json.dumps(context))
    done = run(COOKIECUTTER, TEMPLATE, "--replay", cwd=tmp_path, variables=home)
    assert done.returncode == 1
    assert "Solution: database=postgresql\n" in done.stderr
    assert "--replay" not in done.stderr
    assert not (tmp_path / "my-service").exists()


def test_a_misspelt_choice_on_the_command_line_is_refused(
    home: dict[str, str], tmp_path: Path
) -> None:
    done = run(
        *(COOKIECUTTER, TEMPLATE, "--no-input", "database=postgres"), cwd=tmp_path, variables=home
    )
    assert done.returncode == 1
    assert "the choices are ['sqlite', 'postgresql', 'postgresql-multi-tenant']" in done.stderr
    assert not (tmp_path / "my-service").exists()


@pytest.mark.parametrize(
    "slug",
    [
        "../outside",
        "{}/outside",
        ".",
        "..",
        "",
        "a/b/c",
        "a'__import__('os').system('touch {}/touched')",
        "a'b",
    ],
)
def test_a_slug_that_is_a_path_creates_no_files(
    home: dict[str, str], tmp_path: Path, slug: str
) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    slug = slug.replace("{}", str(tmp_path))
    done = run(
        *(COOKIECUTTER, TEMPLATE, "--no-input", f"project_slug={slug}"), cwd=inside, variables=home
    )
    assert done.returncode == 1
    assert list(inside.iterdir()) == []
    assert not (tmp_path / "outside").exists()
    assert not (tmp_path / "touched").exists()


def test_an_existing_folder_named_by_a_refused_slug_keeps_its_files(
    home: dict[str, str], tmp_path: Path
) -> None:
    mine = tmp_path / "mine" / "notes.txt"
    mine.parent.mkdir()
    mine.write_text("kept")
    done = run(
        *(COOKIECUTTER, TEMPLATE, "--no-input", "project_slug=mine/a/b"),
        cwd=tmp_path,
        variables=home,
    )
    assert done.returncode == 1
    assert [path.name for path in mine.parent.iterdir()] == ["notes.txt"]
