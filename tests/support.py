"""Helpers for the tests: the default answers, a hook as cookiecutter runs it, and repositories."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from tools.services import SERVICE, TEMPLATE, load_hook

DEFAULTS = {
    "project_name": "My Service",
    "project_slug": "my-service",
    "package_name": "my_service",
    "description": "My Service, a FastAPI service that migrates its own database",
    "author_name": "Your Name",
    "author_email": "you@example.com",
    "database": "sqlite",
    "license": "MIT",
}


def render_hook(name: str, context: Mapping[str, object]) -> str:
    """A hook's source as cookiecutter runs it."""
    source = (TEMPLATE / "hooks" / f"{name}.py").read_text(encoding="utf-8")
    return jinja2.Environment().from_string(source).render(cookiecutter=context)


def escaped(text: str) -> str:
    """Text as in the hidden copies of the answers, escaped for double quotes."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def with_copies(answers: Mapping[str, str]) -> dict[str, object]:
    """The answers for a hook: with the hidden copies that cookiecutter computes."""
    texts = ("project_name", "description", "author_name", "author_email")
    copies = {f"__{name}": escaped(answers[name]) for name in texts}
    of_database = load_hook("pre_gen_project").DATABASE_COPIES.get(answers["database"], {})
    return {**answers, **copies, **of_database}


def template_repository(folder: Path, git: Any) -> Path:
    """A separate repository with the template's files."""
    template = folder / "template"
    template.mkdir()
    copy_template(template)
    commit(git, template)
    return template


def copy_template(folder: Path) -> None:
    """Copy the template's files."""
    shutil.copy(TEMPLATE / "cookiecutter.json", folder)
    for name in ("hooks", "templates", SERVICE.name):
        shutil.copytree(
            TEMPLATE / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
        )


def commit(git: Any, folder: Path) -> None:
    """Commit all files of a folder."""
    git("init", "--quiet", cwd=folder)
    git("add", "--all", cwd=folder)
    git("commit", "--quiet", "--message", "All", cwd=folder)
