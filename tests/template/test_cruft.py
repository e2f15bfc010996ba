"""A service gets later changes of the template without a conflict."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import commit, copy_template, template_repository

from tools.process import succeed
from tools.services import DATABASES, SERVICE, TEMPLATE, ServiceEnvironment, files

pytestmark = pytest.mark.thorough

CRUFT = str(Path(sys.executable).parent / "cruft")

FIRST_RELEASE = "55c41a2"  # the commit of 0.1.0
NICK = "    nick: Mapped[str | None] = mapped_column(String(40))\n"
ADD_NICK = '''"""Add nick."""

import sqlalchemy as sa
from alembic import op

revision = "20260101000000"
down_revision = "001"


def upgrade() -> None:
    op.add_column("users", sa.Column("nick", sa.String(40)))


def downgrade() -> None:
    op.drop_column("users", "nick")
'''


@pytest.mark.parametrize("database", DATABASES)
def test_an_update_applies_without_a_reject(tmp_path: Path, git: Any, database: str) -> None:
    template = template_repository(tmp_path, git)
    variables = {"HOME": str(tmp_path), "GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig")}
    create = (CRUFT, "create", template, "--no-input", "--extra-context")
    output = succeed(*create, f'{{"database": "{database}"}}', cwd=tmp_path, variables=variables)
    assert "my-service is ready" in output
    project = tmp_path / "my-service"
    commit(git, project)

    readme = template / SERVICE.name / "README.md"
    readme.write_text(readme.read_text(encoding="utf-8") + "\nNew in the template.\n")
    (template / SERVICE.name / "new.txt").write_text("{{ cookiecutter.project_slug }}\n")
    license_file = template / SERVICE.name / "LICENSE.MIT"
    license_file.write_text(license_file.read_text(encoding="utf-8") + "\nAn amendment.\n")
    commit(git, template)

    for command in (["diff"], ["update", "--skip-apply-ask"]):
        output = succeed(CRUFT, *command, cwd=project, variables=variables)
        assert "is ready" not in output
    assert [path for path in files(project) if path.suffix == ".rej"] == []
    changed = sorted(git("status", "--porcelain", cwd=project).split()[1::2])
    assert changed == [".cruft.json", "LICENSE", "README.md", "new.txt"]
    assert (project / "README.md").read_text(encoding="utf-8").endswith("New in the template.\n")
    assert (project / "new.txt").read_text(encoding="utf-8") == "my-service\n"
    commit(git, project)
    assert "up to date" in succeed(CRUFT, "update", cwd=project, variables=variables)


@pytest.fixture
def first_release(tmp_path: Path, git: Any) -> Path:
    """A separate repository with the template of 0.1.0."""
    known = ("git", "cat-file", "-e", FIRST_RELEASE)
    if subprocess.run(known, cwd=TEMPLATE, check=False, capture_output=True).returncode:
        pytest.skip("This clone's history does not reach back to 0.1.0.")
    template = tmp_path / "template"
    template.mkdir()
    git("archive", "--output", str(tmp_path / "0.1.0.tar"), FIRST_RELEASE, cwd=TEMPLATE)
    succeed("tar", "--extract", "--file", tmp_path / "0.1.0.tar", cwd=template)
    commit(git, template)
    return template


def change(file: Path, old: str, new: str) -> None:
    """Edit a file as its owner would."""
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_service_of_0_1_0_gets_the_new_layout_and_keeps_its_own_lines(
    tmp_path: Path,
    git: Any,
    first_release: Path,
    service_environment: ServiceEnvironment,
    empty_database: Any,
    database: str,
) -> None:
    variables = {"HOME": str(tmp_path), "GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig")}
    answers = f'{{"database": "{database}"}}'
    create = (CRUFT, "create", first_release, "--no-input", "--extra-context", answers)
    succeed(*create, cwd=tmp_path, variables=variables)
    project = tmp_path / "my-service"
    package = project / "src" / "my_service"
    commit(git, project)
    change(package / "users" / "models.py", "    name: Mapped", f"{NICK}    name: Mapped")
    change(package / "routes.py", "me, admin)", "me, admin)  # ours: none yet")
    change(package / "settings.py", "    auto_migrate", "    page_size: int = 20\n    auto_migrate")
    (package / "migrations" / "versions" / "20260101_add_nick.py").write_text(ADD_NICK)
    commit(git, project)
    git("rm", "--quiet", "-r", ".", cwd=first_release)
    copy_template(first_release)
    commit(git, first_release)
    succeed(CRUFT, "update", "--skip-apply-ask", cwd=project, variables=variables)

    # The field moved with its model. Git cannot follow two files that changed on both sides.
    assert NICK in (package / "accounts" / "models.py").read_text()
    assert list(project.rglob("*.rej")) == [package / "routes.py.rej"]
    old_settings = package / "settings.py"
    assert "page_size" in old_settings.read_text()

    (package / "routes.py.rej").unlink()
    old_settings.unlink()
    copy = tmp_path / "today"
    succeed(*create, "--output-dir", copy, cwd=tmp_path, variables=variables)
    (package / "routes.py").write_text((copy / "my-service/src/my_service/routes.py").read_text())
    change(
        package / "settings" / "base.py",
        "    environment",
        "    page_size: int = 20\n    environment",
    )
    address = empty_database(database)
    for command in ("make --merge join_template", "latest"):
        arguments = ("-m", "my_service", "migrate", *command.split())
        service_environment.succeed(project, *arguments, DATABASE_URL=address)
