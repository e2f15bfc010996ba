"""The template's own pages are true: their commands run, and the steps for a fork work."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from pages import Shell, blocks, has_posix_shell, read
from support import commit, template_repository

from tools import record_demo
from tools.process import succeed
from tools.services import SERVICE, TEMPLATE, ServiceEnvironment, files

pytestmark = pytest.mark.skipif(not has_posix_shell(), reason="the pages' blocks need a shell")

REPOSITORY = "gh:org/saasquatch-service"
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    *sorted(f"docs/{path.name}" for path in (TEMPLATE / "docs").glob("*.md")),
)

# Blocks that are shown and not run: they install packages and serve, run all tests, or ask.
NOT_RUN = {("README.md", "From a clone"), ("docs/update.md", "Start with cruft")}


@pytest.fixture
def shell(service_environment: ServiceEnvironment, uv: str, tmp_path: Path) -> Shell:
    return Shell(service_environment, uv, tmp_path)


def test_blocks_that_are_not_run_are_marked() -> None:
    shown = {
        (page, block.heading) for page in PAGES for block in blocks(TEMPLATE / page, "console")
    }
    assert shown == NOT_RUN
    assert not any(blocks(TEMPLATE / page, "bash", "shell", "powershell") for page in PAGES)


@pytest.mark.thorough
def test_every_shell_block_of_the_readme_runs(shell: Shell, tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'test.db'}"
    for block in blocks(TEMPLATE / "README.md", "sh"):
        code = block.code.replace(REPOSITORY, f"'{TEMPLATE}'")
        shell.run(code, tmp_path, HOME=str(tmp_path), DATABASE_URL=address)
    assert (tmp_path / "billing" / "compose.yaml").is_file()


@pytest.mark.thorough
def test_every_shell_block_about_updates_runs(shell: Shell, tmp_path: Path, git: Any) -> None:
    template = template_repository(tmp_path, git)
    variables = {"HOME": str(tmp_path), "GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig")}
    for block in blocks(TEMPLATE / "docs" / "update.md", "sh"):
        if block.heading == "Update":
            (template / SERVICE.name / "new.txt").write_text("New in the template.\n")
            makefile = template / SERVICE.name / "Makefile"
            makefile.write_text(f"# The template's.\n{read(makefile)}")
            commit(git, template)
            mine = tmp_path / "billing" / "Makefile"
            mine.write_text(f"# Mine.\n{read(mine)}")
            commit(git, mine.parent)
        code = block.code.replace(REPOSITORY, f"'{template}'")
        output = shell.execute(code, tmp_path, **variables)
    # The git command of the last block prints the output in the page.
    assert {"A  new.txt", "UU Makefile"} <= set(output.splitlines())
    assert "<<<<<<< " in read(tmp_path / "billing" / "Makefile")
    assert "new.txt " in output.partition("A  new.txt")[2]


@pytest.mark.thorough
def test_the_steps_to_add_an_option_work(shell: Shell, fork: Path, tmp_path: Path) -> None:
    follow("Add an option", fork, shell)
    for editor, there in {"none": False, "vscode": True}.items():
        made = bake_fork(fork, tmp_path / editor, f"editor={editor}")
        assert (made / ".vscode" / "settings.json").exists() is there


@pytest.mark.thorough
def test_the_steps_to_add_a_database_work(
    shell: Shell, fork: Path, tmp_path: Path, service_environment: ServiceEnvironment
) -> None:
    follow("Add a database", fork, shell)
    made = bake_fork(fork, tmp_path / "made", "database=libsql")
    names = {path.name for path in files(made)}
    assert {"libsql.py", "001_create_users_table.py"} < names
    assert not {"sqlite.py", "postgresql.py"} & names
    service_environment.succeed(made, "-m", "pytest", "-q", "tests/test_migrations.py")


DROP_INDEX = """
from alembic import op

revision = "9"
down_revision = "002"


def upgrade():
    op.drop_index("users_email_idx")


def downgrade():
    op.create_index("users_email_idx", "users", ["email"], unique=True)
"""


@pytest.mark.thorough
def test_the_steps_to_add_a_lint_rule_work(
    shell: Shell, fork: Path, tmp_path: Path, service_environment: ServiceEnvironment
) -> None:
    follow("Add a lint rule", fork, shell)
    made = bake_fork(fork, tmp_path / "made")
    versions = made / "src" / "my_service" / "migrations" / "versions"
    (versions / "9_drop.py").write_text(DROP_INDEX, encoding="utf-8")
    code = "import sys; from my_service.cli import main; sys.argv[1:] = sys.argv[1].split(); main()"
    lint = service_environment.succeed
    with pytest.raises(AssertionError, match="drops-index: users_email_idx is gone"):
        lint(made, "-c", code, "migrate lint 9")


@pytest.mark.thorough
def test_the_steps_to_rename_the_brand_work(
    shell: Shell, fork: Path, tmp_path: Path, git: Any
) -> None:
    for name in ("README.md", "LICENSE", "CONTRIBUTING.md", "pyproject.toml"):
        shutil.copy(TEMPLATE / name, fork)
    commit(git, fork)
    follow("Rename the brand", fork, shell)
    assert [path for path in files(fork) if "saasquatch" in text(fork / path)] == []
    assert bake_fork(fork, tmp_path / "made").is_dir()


def text(path: Path) -> str:
    """A file's text; empty for files of git."""
    return "" if ".git" in path.parts else path.read_text(encoding="utf-8", errors="replace")


@pytest.fixture
def fork(tmp_path: Path) -> Path:
    """A copy of the template, to change."""
    folder = tmp_path / "fork"
    folder.mkdir()
    shutil.copy(TEMPLATE / "cookiecutter.json", folder)
    for name in ("hooks", "templates", "docs", "tools", SERVICE.name):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(TEMPLATE / name, folder / name, ignore=ignored)
    return folder


def follow(chapter: str, fork: Path, shell: Shell) -> None:
    """Follow a section of docs/fork.md."""
    steps = [
        block
        for block in blocks(TEMPLATE / "docs" / "fork.md", "sh", "diff")
        if block.heading == chapter
    ]
    assert steps
    for step in steps:
        if step.language == "diff":
            apply(step.code, fork)
        else:
            shell.execute(step.code, fork)


def apply(diff: str, folder: Path) -> None:
    """Apply a diff whose hunks are found by their text, each exactly once."""
    head, *hunks = re.split(r"^@@\n", diff, flags=re.MULTILINE)
    path = folder / head.splitlines()[1].removeprefix("+++ b/")
    content = read(path)
    for hunk in hunks:
        lines = hunk.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line[0] in " -")
        new = "".join(line[1:] for line in lines if line[0] in " +")
        assert content.count(old) == 1, f"{path.name} holds it {content.count(old)} times:\n{old}"
        content = content.replace(old, new)
    path.write_text(content, encoding="utf-8")


def bake_fork(fork: Path, into: Path, *answers: str) -> Path:
    """Make a service with a changed template."""
    cookiecutter = str(Path(sys.executable).parent / "cookiecutter")
    succeed(
        *(cookiecutter, str(fork), "--no-input", "--output-dir", str(into), *answers),
        cwd=fork.parent,
        variables={"HOME": str(fork.parent)},
    )
    return into / "my-service"


@pytest.mark.parametrize("page", PAGES)
def test_links_within_the_template_have_targets(page: str) -> None:
    path = TEMPLATE / page
    for link in re.findall(r"\]\(([^)#]+)\)", read(path)):
        if not link.startswith("http"):
            assert (path.parent / unquote(link)).exists(), link


def test_the_readme_lists_the_questions_of_the_template() -> None:
    asked = json.loads(read(TEMPLATE / "cookiecutter.json"))
    shown = re.findall(r"^\| `(\w+)` \|", read(TEMPLATE / "README.md"), re.MULTILINE)
    assert shown == [name for name in asked if not name.startswith("_")]


def test_the_recording_shows_its_commands_and_loads_no_font() -> None:
    picture = read(TEMPLATE / "docs" / "demo.svg").replace("&#160;", " ").replace("&amp;", "&")
    drawn = re.sub(r"<[^>]+>", "", picture)
    for command in (*record_demo.COMMANDS, record_demo.SERVE):
        assert command in drawn
    assert "@font-face" not in picture
    assert "Ready to serve" in drawn
