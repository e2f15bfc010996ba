"""Finds the migrations that a git branch adds to the default branch."""

import os
import subprocess
from pathlib import Path

from ..config import MigrationConfig, default_config


def added_migrations(config: MigrationConfig | None = None) -> list[str] | None:
    """Names of the migrations that this git branch adds to the default branch, committed or not.

    They are compared with the commit at which this branch left the default branch.

    Returns:
        None if git cannot tell: there is no git, no repository, or no default branch.
    """
    folder = (config or default_config()).versions
    base = _where_it_left(folder)
    listed = None if base is None else _git(folder, "ls-tree", "--name-only", base, "./")
    if listed is None:
        return None
    on_default_branch = set(listed.splitlines())
    files = (path for path in folder.glob("*.py") if path.name[0] not in "._")
    return sorted(path.stem for path in files if path.name not in on_default_branch)


def _where_it_left(folder: Path) -> str | None:
    # GITHUB_BASE_REF is the branch that a pull request goes to.
    target = os.environ.get("GITHUB_BASE_REF")
    remote = _git(folder, "symbolic-ref", "--short", "refs/remotes/origin/HEAD")
    names = [f"origin/{target}" if target else "", remote or "", "origin/main", "origin/master"]
    for name in filter(None, [*names, "main", "master"]):
        if base := _git(folder, "merge-base", "HEAD", name):
            return base
    return None


def _git(folder: Path, *arguments: str) -> str | None:
    """The output of git; None if it fails or is not installed."""
    command = ["git", "-C", str(folder), *arguments]
    # Inside a git hook these variables name the repository, and git would take this folder for its
    # root.
    of_hook = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"}
    variables = {name: value for name, value in os.environ.items() if name not in of_hook}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
