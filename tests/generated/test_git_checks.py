"""CI and the pre-commit hook lint what a branch adds: their own command lines, in a repository."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from conftest import Bake
from pages import has_posix_shell

from tools.process import clean_environment
from tools.services import ServiceEnvironment

pytestmark = pytest.mark.skipif(not has_posix_shell(), reason="needs sh, make and git")

VERSIONS = "src/my_service/migrations/versions"
MIGRATION = '''"""A change."""

from alembic import op

revision = "900"
down_revision = "002"


def upgrade() -> None:
    op.execute("{up}")


def downgrade() -> None:
    op.execute("{down}")
'''
RISKY = MIGRATION.format(up="DROP TABLE tokens", down="SELECT 1")
SAFE = MIGRATION.format(
    up="ALTER TABLE users ADD COLUMN nick TEXT", down="ALTER TABLE users DROP COLUMN nick"
)


@dataclass(frozen=True)
class Repository:
    """A service in a git repository, and the environment of its developers."""

    folder: Path
    variables: dict[str, str]

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command in it."""
        every = clean_environment(self.variables | variables)
        return subprocess.run(command, cwd=self.folder, env=every, capture_output=True, text=True)

    def git(self, *arguments: str) -> None:
        """Run git; it must succeed."""
        done = self.run("git", *arguments)
        assert done.returncode == 0, done.stderr

    def add(self, migration: str) -> None:
        """A branch that adds a migration: written, and not committed yet."""
        self.git("switch", "--quiet", "--create", "feature")
        (self.folder / VERSIONS / "900_change.py").write_text(migration)
        self.git("add", ".")


@pytest.fixture
def repository(
    project: Bake, service_environment: ServiceEnvironment, tmp_path: Path, uv: str
) -> Repository:
    """A service whose first commit is on main."""
    folder = project(database="sqlite")
    commands = tmp_path / "commands"  # uv would install the service's own command there
    commands.mkdir()
    (commands / "my-service").write_text('#!/bin/sh\nexec python -m my_service "$@"\n')
    (commands / "my-service").chmod(0o755)
    variables = service_environment.variables(folder)
    who = {
        f"GIT_{role}_{what}": "a" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    variables |= who | {
        "PATH": f"{commands}:{Path(uv).parent}:{variables['PATH']}",
        "UV_PROJECT_ENVIRONMENT": str(service_environment.folder),
        "UV_NO_SYNC": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
    }
    made = Repository(folder, variables)
    made.git("init", "--quiet", "--initial-branch=main")
    made.git("add", ".")
    made.git("commit", "--quiet", "--message=first")
    return made


@pytest.mark.parametrize(("migration", "code"), [(RISKY, 1), (SAFE, 0)])
def test_ci_lints_the_migrations_that_a_pull_request_adds(
    repository: Repository, tmp_path: Path, migration: str, code: int
) -> None:
    repository.add(migration)
    repository.git("commit", "--quiet", "--message=change")
    # As after actions/checkout: all branches of the remote, and a merge without a branch.
    checkout = Repository(tmp_path / "checkout", repository.variables)
    repository.git(
        "clone", "--quiet", "--branch=main", str(repository.folder), str(checkout.folder)
    )
    checkout.git("checkout", "--quiet", "--detach")
    checkout.git("merge", "--quiet", "--no-ff", "--message=merge", "origin/feature")
    on_github = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_BASE_REF": "main",
        "GITHUB_WORKSPACE": str(checkout.folder),
        "PYTHONPATH": "src",
    }
    steps = yaml.safe_load((checkout.folder / ".github/workflows/ci.yml").read_text())
    assert "make lint" in [step.get("run") for step in steps["jobs"]["lint"]["steps"]]
    lines = checkout.run("make", "--dry-run", "lint", **on_github).stdout.splitlines()
    done = checkout.run("sh", "-c", lines[-1], **on_github)
    assert done.returncode == code, done.stdout + done.stderr
    errors = [line for line in done.stdout.splitlines() if line.startswith("::error ")]
    where = re.escape(f"{VERSIONS}/900_change.py")
    patterns = [
        f"::error file={where},line=10,title=breaks-old-code",
        f"::error file={where},title=cannot",
    ]
    assert len(errors) == len(patterns) * code
    assert all(map(re.match, patterns, errors)), errors


@pytest.mark.parametrize("is_linked", [False, True])
def test_the_pre_commit_hook_refuses_a_risky_migration(
    repository: Repository, tmp_path: Path, is_linked: bool
) -> None:
    config = repository.folder / ".pre-commit-config.yaml"
    hooks = yaml.safe_load(config.read_text())
    hooks["repos"] = [repo for repo in hooks["repos"] if repo["repo"] == "local"]
    config.write_text(yaml.safe_dump(hooks))  # the others come from the network
    repository.git("commit", "--quiet", "--all", "--message=hooks")
    at_home = {"PRE_COMMIT_HOME": str(tmp_path / "home"), "SKIP": "ruff-check,ruff-format,mypy"}
    here = Repository(repository.folder, repository.variables | at_home | {"PYTHONPATH": "src"})
    if is_linked:
        here.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"))
        here = Repository(tmp_path / "linked", here.variables)
    installed = here.run(sys.executable, "-m", "pre_commit", "install")
    assert installed.returncode == 0, installed.stderr
    here.add(RISKY)
    refused = here.run("git", "commit", "--message=change")
    assert refused.returncode == 1
    assert "900_change.py:10: breaks-old-code" in refused.stderr
    assert "1 migration linted, 2 findings." in refused.stderr
    (here.folder / VERSIONS / "900_change.py").write_text(SAFE)
    accepted = here.run("git", "commit", "--all", "--message=change")
    assert accepted.returncode == 0, accepted.stderr
    assert "migrate lint" in accepted.stderr
