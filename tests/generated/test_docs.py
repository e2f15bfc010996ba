"""The pages of a generated service are true: commands run, tables and errors match the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import Bake
from pages import Shell, blocks, has_posix_shell, read, rows

from tools.services import DATABASES, INSIDE, ServiceEnvironment

pytestmark = pytest.mark.skipif(not has_posix_shell(), reason="the pages' blocks need sh and make")
each_database = pytest.mark.parametrize("database", DATABASES)

GUIDE = "src/my_service/migrations/README.md"
PATTERNS = INSIDE / "guide_patterns.py"

# Blocks that cannot run here: docker needs its daemon, and a baseline needs an existing
# database (tests/inside/engine/test_existing_databases.py has some).
TENANTS = "A schema for each tenant"
ADOPTION = {"From Knex, from Django, or made by hand", "From Alembic", TENANTS}
NOT_RUN = {"README.md": {"Deploy"}, GUIDE: {"10. Production", *ADOPTION}}


@pytest.fixture
def shell(service_environment: ServiceEnvironment, uv: str, tmp_path: Path) -> Shell:
    return Shell(service_environment, uv, tmp_path)


@pytest.mark.thorough
@each_database
def test_every_shell_block_runs(
    project: Bake, shell: Shell, empty_database: Any, database: str
) -> None:
    folder, address = project(database=database), empty_database(database)
    with shell.forking(folder):
        for page in ("README.md", GUIDE):
            for block in blocks(folder / page, "sh"):
                shell.run(block.code, folder, DATABASE_URL=address)


@each_database
def test_blocks_that_are_not_run_are_marked(bake: Bake, database: str) -> None:
    folder = bake(database=database)
    for page, headings in NOT_RUN.items():
        shown = {block.heading for block in blocks(folder / page, "console")}
        assert shown == (headings if "tenant" in database else headings - {TENANTS})
        assert blocks(folder / page, "bash", "shell", "powershell") == []


@each_database
def test_each_make_target_is_the_command_in_the_same_row(
    project: Bake, shell: Shell, database: str
) -> None:
    folder = project(database=database)
    shell.script("uv", 'echo uv "$@"')
    compared = 0
    for row in rows(read(folder / "README.md")):
        makes, commands = (
            re.findall(rf"`({word} [^`]+)`", " ".join(row)) for word in ("make", "uv")
        )
        if len(row) == 3 and makes and commands:
            assert shell.execute(makes[0], folder).splitlines() == commands
            compared += 1
    assert compared > 15


@pytest.mark.thorough
@each_database
def test_every_pattern_is_applied_checked_and_rolled_back(
    project: Bake, service_environment: ServiceEnvironment, empty_database: Any, database: str
) -> None:
    service_environment.succeed(
        project(database=database),
        *(str(PATTERNS), database, GUIDE),
        DATABASE_URL=empty_database(database),
    )


@each_database
def test_the_pages_explain_exactly_the_error_codes_of_the_code(bake: Bake, database: str) -> None:
    folder = bake(database=database)
    codes = [code for path in sources(folder) for code in codes_made(path)]
    explained = re.findall(r"^#### ([\w-]+)$", read(folder / GUIDE), re.MULTILINE)
    explained += re.findall(
        r"^\| (?:\d+|…) \| `([\w-]+)` \|", read(folder / "README.md"), re.MULTILINE
    )
    assert sorted(explained) == sorted(codes)
    assert len(set(codes)) == len(codes)


@each_database
def test_the_guide_explains_exactly_the_lint_codes(bake: Bake, database: str) -> None:
    folder = bake(database=database)
    rules = (path for path in sources(folder) if path.parent.name == "rules")
    codes = [code for path in rules for code in re.findall(r'^    code="(.+)"', read(path), re.M)]
    explained = re.findall(r"^##### ([\w-]+)$", read(folder / GUIDE), re.MULTILINE)
    notices = {"unused-ignore", "ignore-without-reason", "brief-lock", "downgrade-drops-data"}
    assert sorted(explained) == sorted({*codes, *notices})
    assert len(codes) > 10


@each_database
def test_every_error_is_made_in_an_errors_module(bake: Bake, database: str) -> None:
    for path in sources(bake(database=database)):
        if path.name != "errors.py" and not path.name.endswith("_errors.py"):
            assert codes_made(path) == [], path


def sources(folder: Path) -> list[Path]:
    """The service's own Python files."""
    return sorted((folder / "src" / "my_service").rglob("*.py"))


def codes_made(path: Path) -> list[str]:
    """The codes of the errors that a file makes, without passed-on codes."""
    places = {"ActionableError": 0, "HttpError": 1}
    codes = [
        node.args[places[node.func.id]]
        for node in ast.walk(ast.parse(read(path)))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in places
    ]
    passed_on = (ast.Attribute, ast.Constant)
    assert all(isinstance(code, passed_on) for code in codes), f"{path}: not a literal code"
    return [str(code.value) for code in codes if isinstance(code, ast.Constant)]


@each_database
def test_the_guide_has_eleven_numbered_sections(bake: Bake, database: str) -> None:
    numbers = re.findall(r"^## (\d+)\. ", read(bake(database=database) / GUIDE), re.MULTILINE)
    assert numbers == [str(number) for number in range(1, 12)]


@each_database
def test_the_tree_shows_the_existing_files(bake: Bake, database: str) -> None:
    folder = bake(database=database)
    (tree,) = [block for block in blocks(folder / "README.md", "text") if block.heading == "Layout"]
    shown = {line.split()[0].rstrip("/") for line in tree.code.splitlines() if line[0] == " "}
    present = {path.name for path in (folder / "src" / "my_service").iterdir()}
    assert shown == {name for name in present if not name.startswith("__")}


@each_database
@pytest.mark.parametrize("page", ["README.md", GUIDE])
def test_links_within_the_project_have_targets(bake: Bake, database: str, page: str) -> None:
    path = bake(database=database) / page
    for link in re.findall(r"\]\(([^)]+)\)", read(path)):
        if not link.startswith("http"):
            where, _, anchor = link.partition("#")
            target = path.parent / where if where else path
            assert target.exists()
            assert not anchor or anchor in anchors(target)


def anchors(page: Path) -> set[str]:
    """The anchors of a page."""
    titles = re.findall(r"^#+ (.*)$", read(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}


FORBIDDEN = {
    "from ..cli import app": "Nobody imports the application or the command line",
    "from ..app import create_app": "Nobody imports the application or the command line",
    "from ..migrate.runner import upgrade": "Nobody reaches past the engine's faces",
}


@each_database
def test_import_contracts_hold_and_refuse_forbidden_imports(
    project: Bake, service_environment: ServiceEnvironment, database: str
) -> None:
    folder = project(database=database)
    lint = service_environment.python.parent / "lint-imports"
    command = f"import subprocess, sys; sys.exit(subprocess.call([{str(lint)!r}, '--no-cache']))"
    service_environment.succeed(folder, "-c", command)
    posts = folder / "src" / "my_service" / "posts"
    posts.mkdir()
    (posts / "__init__.py").write_text('"""A package that the owner added."""\n')
    for line, contract in FORBIDDEN.items():
        (posts / "models.py").write_text(f"{line}\n", encoding="utf-8")
        with pytest.raises(AssertionError, match=contract):
            service_environment.succeed(folder, "-c", command)
