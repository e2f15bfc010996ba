"""With text that would break a careless template, the service passes its own checks."""

from __future__ import annotations

import email
import tomllib
import zipfile
from pathlib import Path

import pytest
from conftest import Bake

from tools.process import succeed
from tools.services import DATABASES, ServiceEnvironment, files

CANARY = "canary"

HOSTILE = {
    "quotes": 'Ann "AJ" O\'Neil \\ """ \'\'\' \\N{BULLET} \\" \\x41',
    "emoji": "👩‍💻🏳️‍🌈 Crème brûlée – ‘naïve’ 東京 ﷺ",
    "templates": "{{ 7 * 7 }} {{ cookiecutter }} {% raw %} {# gone #} ${x} {x} %(here)s %s %%",
    "commands": f"$(touch {CANARY}) `touch {CANARY}`; touch {CANARY} & $(shell touch {CANARY}) #!",
    "code": f"\"); open('{CANARY}', 'w'); (\" ''' + open('{CANARY}', 'w') + '''",
    "dashes": "-rf --help",
    "markup": "<script>alert(1)</script> [bold]x[/] [/nothing] # | * _ : - > & ]]> =",
    "long": "W" * 100,
    "short": ".",
    "ends in a backslash": "C:\\",
    "only quotes": '"""',
    "quotes and templates": 'O\'Neil "AJ" \\ """ \'\'\' \\N{BULLET} \\x41 '
    "{{ 7 * 7 }} {% raw %} {# gone #} ${x} {x} %(here)s %",
}
EMAIL = "o'neil+{tag}@example.com".replace("{tag}", "x%y")

each_text = pytest.mark.parametrize("name", HOSTILE)


def hostile(name: str, **answers: str) -> dict[str, str]:
    """The same hostile text for every text answer."""
    text = HOSTILE[name]
    return {
        "project_name": text,
        "project_slug": "my-service",
        "package_name": "my_service",
        "description": (text * 3)[:300].strip(),
        "author_name": text,
        "author_email": EMAIL,
        **answers,
    }


@each_text
def test_the_answers_are_written_unchanged(bake: Bake, name: str) -> None:
    answers = hostile(name)
    project = bake(**answers)
    about = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert about["description"] == answers["description"]
    assert about["authors"] == [{"name": answers["author_name"], "email": EMAIL}]
    assert answers["author_name"] in (project / "LICENSE").read_text(encoding="utf-8")
    readme = (project / "README.md").read_text(encoding="utf-8")
    assert readme.startswith(f"# {answers['project_name']}\n")


@each_text
@pytest.mark.parametrize("database", DATABASES)
def test_the_project_passes_ruff(
    project: Bake, service_environment: ServiceEnvironment, name: str, database: str
) -> None:
    folder = project(**hostile(name, database=database))
    service_environment.succeed(folder, "-m", "ruff", "check", "--no-cache")
    service_environment.succeed(folder, "-m", "ruff", "format", "--check", "--no-cache")


@pytest.mark.thorough
def test_the_project_passes_its_own_tests(
    project: Bake, newest_environment: ServiceEnvironment
) -> None:
    folder = project(**hostile("quotes and templates"))
    newest_environment.succeed(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider")


@pytest.mark.parametrize("name", ["quotes", "templates", "commands", "code", "markup"])
def test_no_answer_is_executed(
    project: Bake, service_environment: ServiceEnvironment, name: str
) -> None:
    folder = project(**hostile(name))
    variables = service_environment.variables(folder)
    succeed("make", "help", cwd=folder, variables=variables)
    succeed("make", "--always-make", "--dry-run", "dev", cwd=folder, variables=variables)
    service_environment.succeed(folder, "-m", "my_service", "--help")
    service_environment.succeed(folder, "-m", "my_service", "migrate", "status")
    assert [path for path in files(folder) if path.name == CANARY] == []
    assert not Path(CANARY).exists()


@pytest.mark.parametrize("name", ["quotes", "emoji", "code", "markup"])
def test_a_built_wheel_names_the_author(project: Bake, uv: str, tmp_path: Path, name: str) -> None:
    answers = hostile(name)
    folder = project(**answers)
    succeed(uv, "build", "--quiet", "--wheel", "--out-dir", tmp_path / "dist", cwd=folder)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (path,) = [path for path in archive.namelist() if path.endswith(".dist-info/METADATA")]
        about = email.message_from_string(archive.read(path).decode())
    assert str(about["Summary"]) == answers["description"]
