"""A folder in a git repository."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def git(path: Path, *words: str) -> None:
    """Run git there, with a fixed user."""
    keys = ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL")
    names = {f"GIT_{key}": "x" for key in keys}
    command = ["git", "-C", str(path), "-c", "commit.gpgsign=false", *words]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | names)


def commit(path: Path) -> None:
    """Commit the current files."""
    git(path, "init", "--quiet")
    git(path, "add", ".")
    git(path, "commit", "--quiet", "--message=files")
