"""A service takes over what changes in the template, later, without a conflict."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from support import commit, template_repository

from tools.process import succeed
from tools.services import DATABASES, SERVICE, files

CRUFT = str(Path(sys.executable).parent / "cruft")


@pytest.mark.parametrize("database", DATABASES)
def test_an_update_applies_without_a_reject(tmp_path: Path, git: Any, database: str) -> None:
    template = template_repository(tmp_path, git)
    variables = {"HOME": str(tmp_path), "GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig")}
    create = (CRUFT, "create", template, "--no-input", "--extra-context")
    said = succeed(*create, f'{{"database": "{database}"}}', cwd=tmp_path, variables=variables)
    assert "my-service is ready" in said
    project = tmp_path / "my-service"
    commit(git, project)

    readme = template / SERVICE.name / "README.md"
    readme.write_text(readme.read_text(encoding="utf-8") + "\nNew in the template.\n")
    (template / SERVICE.name / "new.txt").write_text("{{ cookiecutter.project_slug }}\n")
    license_file = template / SERVICE.name / "LICENSE.MIT"
    license_file.write_text(license_file.read_text(encoding="utf-8") + "\nAn amendment.\n")
    commit(git, template)

    for command in (["diff"], ["update", "--skip-apply-ask"]):
        said = succeed(CRUFT, *command, cwd=project, variables=variables)
        assert "is ready" not in said
    assert [path for path in files(project) if path.suffix == ".rej"] == []
    changed = sorted(git("status", "--porcelain", cwd=project).split()[1::2])
    assert changed == [".cruft.json", "LICENSE", "README.md", "new.txt"]
    assert (project / "README.md").read_text(encoding="utf-8").endswith("New in the template.\n")
    assert (project / "new.txt").read_text(encoding="utf-8") == "my-service\n"
    commit(git, project)
    assert "up to date" in succeed(CRUFT, "update", cwd=project, variables=variables)
