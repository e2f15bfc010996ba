"""The generated Makefile accepts known variables, and refuses others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from conftest import Bake
from pages import has_posix_shell

from tools.process import run

pytestmark = pytest.mark.skipif(not has_posix_shell(), reason="needs sh and make")


@pytest.fixture
def uv(tmp_path: Path) -> dict[str, str]:
    """A PATH with a uv that only prints its arguments."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "uv"
    script.write_text('#!/bin/sh\necho uv "$@"\n')
    script.chmod(0o755)
    return {"PATH": os.pathsep.join([str(folder), os.environ["PATH"]])}


@pytest.mark.parametrize(
    ("typed", "command"),
    [
        ("migrate:currentVersion", "migrate current"),
        ("migrate-currentVersion", "migrate current"),
        ("migrate:list", "migrate list"),
        ("migrate:unlock", "migrate unlock"),
        ("migrate:history", "migrate history"),
        ("migrate-stats", "migrate stats"),
        ("migrate-verify", "migrate verify"),
        ("migrate:diff", "migrate diff models chain"),
        ("migrate-diff a=old.txt b=chain", "migrate diff old.txt chain"),
        ("migrate:baseline name=add_x", "migrate baseline add_x"),
        ("migrate:up name=add_x", "migrate up add_x"),
        ("migrate:rollback", "migrate rollback"),
        ("migrate:rollback all=1", "migrate rollback --all"),
        ("migrate-rollback all=true", "migrate rollback --all"),
        ("seed:run name=countries", "seed run countries"),
        ("dev port=9000 UV=uv LOG_LEVEL=DEBUG", "serve --reload --port 9000"),
    ],
)
def test_known_variables_are_passed_to_the_command(
    bake: Bake, uv: dict[str, str], typed: str, command: str
) -> None:
    done = run("make", *typed.split(), cwd=bake(database="sqlite"), variables=uv)
    assert (done.returncode, done.stdout) == (0, f"uv run my-service {command}\n"), done.stderr


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("seed:run specific=countries", "seed-run takes no specific=. It takes name="),
        ("seed-run id=acme", "seed-run takes no id=. It takes name="),
        ("migrate-latest name=add_x", "migrate-latest takes no name=. It takes no variable"),
        ("migrate:rollback all=no", "all= is 1, or left out"),
        ("dev host=0.0.0.0 port=1", "dev takes no host=. It takes port="),
        ("database=postgresql", "help takes no database="),
        ("migrate:make", "Name one: make migrate-make name=add_avatar"),
    ],
)
def test_unknown_variables_are_refused_and_nothing_runs(
    bake: Bake, uv: dict[str, str], typed: str, reason: str
) -> None:
    done = run("make", *typed.split(), cwd=bake(database="sqlite"), variables=uv)
    assert (done.returncode, done.stdout) == (2, "")
    assert reason in done.stderr


def test_multi_tenant_targets_take_a_tenant_id(bake: Bake, uv: dict[str, str]) -> None:
    project = bake(database="postgresql-multi-tenant")
    done = run("make", "seed:run", "name=demo", "id=acme", cwd=project, variables=uv)
    assert done.stdout == "uv run my-service seed run demo --tenant acme\n"
    assert run("make", "tenant:list", "id=acme", cwd=project, variables=uv).returncode == 2
