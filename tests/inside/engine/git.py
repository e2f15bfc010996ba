"""A folder that git has."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def git(path: Path, *words: str) -> None:
    """Run git there, as nobody in particular."""
    keys = ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL")
    names = {f"GIT_{key}": "x" for key in keys}
    command = ["git", "-C", str(path), "-c", "commit.gpgsign=false", *words]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | names)


def commit(path: Path) -> None:
    """Let git have the files as they are."""
    git(path, "init", "--quiet")
    git(path, "add", ".")
    git(path, "commit", "--quiet", "--message=files")
