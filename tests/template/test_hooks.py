"""The hooks alone: refusals, suggestions, and accepted answers."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import keyword
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cookiecutter.utils import create_env_with_context
from hypothesis import given, settings
from hypothesis import strategies as st
from support import DEFAULTS, render_hook, with_copies

from tools.services import DATABASES, LICENSES, TEMPLATE, ServiceEnvironment, load_hook

pre = load_hook("pre_gen_project")
post = load_hook("post_gen_project")


def refusals(**answers: str) -> list[Any]:
    """The refusals of the defaults with these answers."""
    every = {**DEFAULTS, **answers}
    return [refusal for validate in pre.VALIDATORS for refusal in validate(every)]


def run_hook(
    name: str, folder: Path, context: dict[str, object], **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a rendered hook in a folder, as cookiecutter does."""
    script = folder.parent / f"{name}.py"
    script.write_text(render_hook(name, context), encoding="utf-8")
    folder.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, script],
        cwd=folder,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **variables},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


# -- What is accepted ----------------------------------------------------------------------------


def test_the_defaults_are_accepted() -> None:
    assert refusals() == []


@pytest.mark.parametrize(
    "text",
    [
        'Ann "AJ" O\\Neil',
        "O'Neil; DROP TABLE users",
        "👩‍💻 Crème brûlée – “naïve” ’quotes’ 東京",
        "{{ 7 * 7 }} {% raw %} {# no comment #}",
        "$(touch canary) `touch canary` ${HOME} %s %(here)s %%",
        "-rf --help",
        "a" * 100,
        '"""',
        "\\",
        "[bold]markup[/] [/nothing]",
        "# heading <script>alert(1)</script> | *",
    ],
)
@pytest.mark.parametrize("question", ["project_name", "description", "author_name"])
def test_any_line_of_visible_text_is_accepted(question: str, text: str) -> None:
    assert refusals(**{question: text}) == []


@pytest.mark.parametrize(
    "email",
    ["ann@example.com", "a.b+c@sub.example.co.uk", "o'neil@example.com", "-@xn--mnchen-3ya.de"],
)
def test_an_email_address_is_accepted(email: str) -> None:
    assert refusals(author_email=email) == []


@pytest.mark.parametrize("slug", ["a", "orders", "orders-2", "json", "a" * 50])
def test_a_legal_slug_is_accepted(slug: str) -> None:
    assert refusals(project_slug=slug) == []


@pytest.mark.parametrize("package", ["a", "orders_2", "my_json", "trailing_", "a" * 40])
def test_a_legal_package_name_is_accepted(package: str) -> None:
    assert refusals(package_name=package) == []


# -- What is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        " leading",
        "trailing ",
        "two\nlines",
        "carriage\rreturn",
        "tab\tstop",
        "nul\x00",
        "escape\x1b[31m",
        "delete\x7f",
        "next\x85line",
        "line\u2028separator",
        "paragraph\u2029separator",
        "override\u202e",
        "isolate\u2066",
        "mark\u200f",
        "zero\u200bwidth",
        "byte order\ufeff",
        "surrogate\ud800",
        "no character\uffff",
        "no character\U0001fffe",
    ],
)
@pytest.mark.parametrize("question", ["project_name", "description", "author_name"])
def test_text_that_breaks_a_line_is_refused(question: str, text: str) -> None:
    assert [refusal.question for refusal in refusals(**{question: text})] == [question]


@pytest.mark.parametrize(
    ("question", "longest"), [("project_name", 100), ("description", 300), ("author_name", 100)]
)
def test_text_has_a_maximum_length(question: str, longest: int) -> None:
    assert refusals(**{question: "x" * longest}) == []
    assert len(refusals(**{question: "x" * (longest + 1)})) == 1


@pytest.mark.parametrize(
    "slug",
    [
        *("", " ", ".", "..", "../x", "a/b", "/tmp/x", "a\\b", "C:", "~"),
        *("My-Slug", "my_slug", "-a", "a-", "a--b", "1a", "é", "a b", "a.b", "a\n", "a" * 51),
        *("con", "nul", "aux", "prn", "com1", "lpt9"),
        *("fastapi", "alembic", "pydantic-settings", "test", "python", "pip", "make"),
    ],
)
def test_a_slug_that_cannot_name_a_folder_and_a_command_is_refused(slug: str) -> None:
    assert [refusal.question for refusal in refusals(project_slug=slug)] == ["project_slug"]


@pytest.mark.parametrize(
    "package",
    [
        *(
            "",
            " ",
            "..",
            "a/b",
            "a.b",
            "My_Package",
            "my-package",
            "_a",
            "1a",
            "é",
            "a\n",
            "a" * 41,
        ),
        *("con", "nul", "aux", "prn", "com1", "lpt9"),
        *("json", "asyncio", "site", "tomllib", "distutils", "compression"),
        *("fastapi", "alembic", "sqlalchemy", "psycopg", "pytest", "dotenv"),
        *("test", "tests", "src", "conftest"),
        *(word for word in keyword.kwlist if word.islower()),
    ],
)
def test_a_package_name_that_cannot_be_imported_is_refused(package: str) -> None:
    assert [refusal.question for refusal in refusals(package_name=package)] == ["package_name"]


@pytest.mark.parametrize(
    "email",
    [
        *(
            "",
            "ann",
            "ann@",
            "@example.com",
            "ann@localhost",
            "ann@example",
            "a@b@c.de",
            "a b@c.de",
        ),
        *("a..b@c.de", ".a@c.de", "a@-c.de", "a@c..de", 'a"b@c.de', "a\\@c.de", "a@c.de\n"),
        *("Ann <a@c.de>", "{{a}}@c.de", f"{'a' * 250}@c.de"),
    ],
)
def test_an_invalid_email_address_is_refused(email: str) -> None:
    assert [refusal.question for refusal in refusals(author_email=email)] == ["author_email"]


@pytest.mark.parametrize(
    ("question", "answer", "meant"),
    [
        ("database", "postgres", "postgresql"),
        ("database", "PostgreSQL", "postgresql"),
        ("database", "postgresql-multitenant", "postgresql-multi-tenant"),
        ("database", "sqlite3", "sqlite"),
        ("database", "oracle!", "sqlite"),
        ("license", "mit", "MIT"),
        ("license", "Apache 2", "Apache-2.0"),
        ("license", "BSD", "BSD-3-Clause"),
        ("license", "", "MIT"),
    ],
)
def test_an_unknown_choice_is_refused_and_the_closest_is_suggested(
    question: str, answer: str, meant: str
) -> None:
    (refusal,) = refusals(**{question: answer})
    assert (refusal.question, refusal.suggestion) == (question, meant)


def test_every_choice_that_is_offered_is_accepted() -> None:
    offered = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
    assert pre.CHOICES == {"database": DATABASES, "license": LICENSES}
    for question, choices in pre.CHOICES.items():
        assert offered[question] == list(choices)
        for choice in choices:
            assert refusals(**{question: choice}) == []


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("project_name", "Edited"),
        ("description", 'Edited "by hand"'),
        ("author_name", "Edited"),
        ("author_email", "edited@example.com"),
        ("database", "postgresql-multi-tenant"),
    ],
)
def test_an_answer_edited_in_a_replay_file_is_refused(question: str, answer: str) -> None:
    answers = {**DEFAULTS, question: answer}
    assert list(pre.refuse_stale_copies(with_copies(answers), answers)) == []
    (refusal, *others) = pre.refuse_stale_copies(with_copies(DEFAULTS), answers)
    assert {other.question for other in others} <= {question}
    assert (refusal.question, refusal.suggestion) == (question, answer)


def test_no_module_that_a_service_installs_can_be_a_package_name(
    service_environment: ServiceEnvironment,
) -> None:
    modules, distributions = installed(service_environment)
    names = modules | {name.replace("-", "_") for name in distributions}
    accepted = {name for name in names if not refusals(package_name=name)}
    assert not accepted, f"add to DEPENDENCIES in hooks/pre_gen_project.py: {sorted(accepted)}"


def test_no_distribution_that_a_service_installs_can_be_a_slug(
    service_environment: ServiceEnvironment,
) -> None:
    _, distributions = installed(service_environment)
    accepted = {name for name in distributions if not refusals(project_slug=name)}
    assert not accepted, f"add to DEPENDENCIES in hooks/pre_gen_project.py: {sorted(accepted)}"


def test_no_command_of_the_service_environment_can_be_a_slug(
    service_environment: ServiceEnvironment,
) -> None:
    commands = {path.name for path in service_environment.python.parent.iterdir()}
    accepted = {name for name in commands if not refusals(project_slug=name)}
    assert not accepted, f"add to COMMANDS in hooks/pre_gen_project.py: {sorted(accepted)}"


def installed(environment: ServiceEnvironment) -> tuple[set[str], set[str]]:
    """The top-level modules and the distributions of an environment, in lower case."""
    (site,) = [path for path in environment.folder.rglob("site-packages") if path.is_dir()]
    modules = {
        path.name.partition(".")[0].lower()
        for path in site.iterdir()
        if path.suffix in ("", ".py", ".so", ".pyd") and not path.name.startswith("_")
    }
    distributions = importlib.metadata.distributions(path=[str(site)])
    return modules, {found.name.lower().replace("_", "-") for found in distributions}


# -- What is advised -----------------------------------------------------------------------------


@settings(deadline=None)
@given(st.fixed_dictionaries({question: st.text(max_size=120) for question in DEFAULTS}))
def test_the_suggested_answers_are_accepted(answers: dict[str, str]) -> None:
    advised = {refusal.question: refusal.suggestion for refusal in refusals(**answers)}
    assert refusals(**{**answers, **advised}) == []


@pytest.mark.parametrize(
    ("question", "answer", "advised"),
    [
        ("project_name", "two\nlines ", "two lines"),
        ("project_name", "\u202e", "My Service"),
        ("project_slug", "My_Cool.Slug", "my-cool-slug"),
        ("project_slug", "3d", "service-3d"),
        ("project_slug", "fastapi", "fastapi-service"),
        ("project_slug", "../../etc", "etc"),
        ("project_slug", "🎉", "my-service"),
        ("package_name", "json", "json_service"),
        ("package_name", "class", "class_service"),
        ("package_name", "My-Package", "my_package"),
    ],
)
def test_the_suggestion_is_close_to_the_answer(question: str, answer: str, advised: str) -> None:
    (refusal,) = refusals(**{question: answer})
    assert refusal.suggestion == advised


def test_all_problems_are_reported_at_once_with_one_command(tmp_path: Path) -> None:
    answers = {
        **DEFAULTS,
        "project_name": "two\nlines",
        "project_slug": "My Slug",
        "package_name": "json",
        "author_name": 'Ann "AJ" O\'Neil {{ x }}',
        "author_email": "ann",
        "database": "postgres",
        "license": "mit",
    }
    context = {**with_copies(answers), "_template": "gh:org/repo", "_output_dir": str(tmp_path)}
    done = run_hook("pre_gen_project", tmp_path / "x", context, PWD=str(tmp_path))
    assert done.returncode == 1
    assert done.stdout == ""
    for line in ("Problem: ", "Impact: ", "Solution: "):
        assert done.stderr.count(line) == 6
    (command,) = [line for line in done.stderr.splitlines() if line.startswith("cookiecutter ")]
    assert shlex.split(command) == [
        *("cookiecutter", "--no-input", "gh:org/repo"),
        "project_name=two lines",
        "project_slug=my-slug",
        "package_name=json_service",
        f"description={DEFAULTS['description']}",
        'author_name={{ "Ann \\"AJ\\" O\'Neil {{ x }}" }}',
        "author_email=you@example.com",
        "database=postgresql",
        "license=MIT",
    ]


def test_the_suggested_command_keeps_the_options_of_the_call(tmp_path: Path) -> None:
    context = {
        **with_copies({**DEFAULTS, "database": "postgres"}),
        "_template": "https://example.com/org/repo.git",
        "_checkout": "v1",
        "_repo_dir": "/home/ann/.cookiecutters/repo/templates/service",
        "_output_dir": str(tmp_path / "some where"),
    }
    done = run_hook("pre_gen_project", tmp_path / "x", context, PWD=str(tmp_path))
    assert (
        "cookiecutter --no-input --checkout v1 --directory templates/service "
        f"--output-dir '{tmp_path}/some where' https://example.com/org/repo.git 'project_name="
    ) in done.stderr


@pytest.mark.parametrize(
    ("template", "repository", "directory"),
    [
        (".", ".", ""),
        (".", "./sub", "sub"),
        ("../templates", "../templates/a/b", "a/b"),
        ("/srv/template/", "/srv/template", ""),
        ("/srv/template", "/srv/template/", ""),
        ("gh:org/repo", "/home/ann/.cookiecutters/repo", ""),
        ("gh:org/repo", "/home/ann/.cookiecutters/repo/sub", "sub"),
        ("git@example.com:repo.git", "/home/ann/.cookiecutters/repo/sub", "sub"),
        ("C:\\templates\\x", "C:\\templates\\x\\sub", "sub"),
    ],
)
def test_the_directory_of_a_template_in_a_repository_is_found(
    template: str, repository: str, directory: str
) -> None:
    assert pre.template_directory(template, repository) == directory


@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_a_literal_is_unchanged_by_the_rendering_of_cookiecutter(text: str) -> None:
    one_line = pre.plain_text("description", text + "{{ 7 * 7 }}{% raw %}{# gone #}" + text[::-1])
    rendered = create_env_with_context({}).from_string(pre.literal(one_line)).render()
    assert rendered == one_line


# -- What they leave alone -----------------------------------------------------------------------


@pytest.mark.parametrize("hook", ["pre_gen_project", "post_gen_project"])
def test_hooks_import_only_modules_without_network_clock_or_git(hook: str) -> None:
    tree = ast.parse((TEMPLATE / "hooks" / f"{hook}.py").read_text(encoding="utf-8"))
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    harmless = {"__future__", "collections.abc", "pathlib", "typing"}
    harmless |= {"difflib", "json", "keyword", "os", "re", "shlex", "shutil", "sys", "tempfile"}
    assert imported <= harmless


def test_an_answer_is_not_executed_in_a_hook(tmp_path: Path) -> None:
    answers = {
        **DEFAULTS,
        "author_name": "'''); open('canary', 'w'); ('''",
        "description": "\\' \\",
    }
    done = run_hook("pre_gen_project", tmp_path / "x", with_copies(answers))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list((tmp_path / "x").iterdir()) == []


def test_the_post_hook_can_run_twice(tmp_path: Path) -> None:
    project = tmp_path / "my-service"
    project.mkdir()
    for name in ("LICENSE.MIT", "LICENSE.Proprietary"):
        (project / name).write_text(name)
    for _ in range(2):
        done = run_hook("post_gen_project", project, dict(DEFAULTS), PWD=str(tmp_path))
        assert done.returncode == 0, done.stderr
        assert [path.name for path in project.iterdir()] == ["LICENSE"]
        assert (project / "LICENSE").read_text() == "LICENSE.MIT"


def test_the_post_hook_says_what_to_do_next(tmp_path: Path) -> None:
    project = tmp_path / "my-service"
    done = run_hook("post_gen_project", project, dict(DEFAULTS), PWD=str(tmp_path))
    assert "  cd my-service\n  make dev " in done.stdout
    assert "  uv run my-service serve\n" in done.stdout
    done = run_hook("post_gen_project", project, dict(DEFAULTS), PWD="/")
    assert f"  cd {shlex.quote(str(project))}\n" in done.stdout


@pytest.mark.parametrize(
    ("name", "feature", "plain"),
    [
        ("conftest.sqlite.py", "sqlite", "conftest.py"),
        ("001_users.postgresql.py", "postgresql", "001_users.py"),
        ("LICENSE.MIT", "MIT", "LICENSE"),
        ("LICENSE.Apache-2.0", "Apache-2.0", "LICENSE"),
        ("sqlite.py", "sqlite", "sqlite.py"),
        ("compose.yaml", "postgresql", "compose.yaml"),
    ],
)
def test_the_name_of_a_variant_loses_its_feature(name: str, feature: str, plain: str) -> None:
    assert post.unmarked(name, feature) == plain
