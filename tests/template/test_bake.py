"""Every answer, baked: exactly the right files, without leftovers of the template."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections import Counter
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml
from conftest import Bake

from tools import update
from tools.services import DATABASES, LICENSES, SERVICE, files, load_hook

post = load_hook("post_gen_project")

every_answer = pytest.mark.parametrize(("database", "license"), list(product(DATABASES, LICENSES)))

PAGES = "templates"  # a folder
# Placeholders that GitHub and Alembic fill in.
FOREIGN_SYNTAX = re.compile(r"\$\{\{.*?\}\}|\$\{.*?\}")
TEMPLATE_SYNTAX = re.compile(r"\{\{|\{%|\{#|cookiecutter")

WINDOWS_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
NOT_ON_WINDOWS = re.compile(r'[<>:"|?*\\\x00-\x1f]|[. ]$')


@every_answer
def test_an_answer_gives_exactly_the_expected_files(
    bake: Bake, database: str, license: str
) -> None:
    expected = text(update.EXPECTED_FILES / f"{database}.txt").splitlines()
    baked = update.names(bake(database=database, license=license))
    assert baked == expected, "Is that what you want? Then run make update"


@pytest.mark.parametrize(
    "name", ["🎉", "3D", "---", "東京", "a" * 100, "con fig", "Ünïcode", "A.B"]
)
def test_the_defaults_that_follow_from_a_name_are_legal(bake: Bake, name: str) -> None:
    assert bake(project_name=name).is_dir()


@every_answer
def test_no_template_syntax_is_left(bake: Bake, database: str, license: str) -> None:
    project = bake(database=database, license=license)
    left = [
        f"{path}: {line}"
        for path in files(project)
        if PAGES not in path.parts  # the service's own templates
        for line in [path.as_posix(), *text(project / path).splitlines()]
        if TEMPLATE_SYNTAX.search(FOREIGN_SYNTAX.sub("", line))
    ]
    assert left == []


def test_double_braces_in_the_templates_python_files_are_answers_only() -> None:
    # In an f-string they would be Python's, and cookiecutter would compute what is between them.
    others = [
        f"{path.relative_to(SERVICE)}: {line}"
        for path in SERVICE.rglob("*.py")
        for line in text(path).splitlines()
        if re.search(r"\{\{(?! ?cookiecutter\.)", line)
    ]
    assert others == []


@every_answer
def test_two_bakes_are_the_same_byte_for_byte(
    bake: Bake, fresh_bake: Bake, database: str, license: str
) -> None:
    answers = {"database": database, "license": license}
    assert contents(bake(**answers)) == contents(fresh_bake(**answers))


@pytest.mark.parametrize("database", DATABASES)
def test_the_license_changes_only_license_readme_and_pyproject(bake: Bake, database: str) -> None:
    first, *others = (contents(bake(database=database, license=name)) for name in LICENSES)
    for other in others:
        changed = {path for path in first if first[path] != other[path]}
        assert changed <= {Path("LICENSE"), Path("README.md"), Path("pyproject.toml")}


@pytest.mark.parametrize(
    ("license", "first_line"),
    [
        ("MIT", "MIT License"),
        ("Apache-2.0", "Apache License"),
        ("BSD-3-Clause", "BSD 3-Clause License"),
        ("Proprietary", "Copyright (c) Ann Example. All rights reserved."),
    ],
)
def test_the_license_is_the_one_chosen_and_names_the_author(
    bake: Bake, license: str, first_line: str
) -> None:
    license_text = text(bake(license=license, author_name="Ann Example") / "LICENSE")
    assert license_text.strip().splitlines()[0].strip() == first_line
    assert "Ann Example" in license_text


@pytest.mark.parametrize("database", DATABASES)
def test_text_has_no_trailing_blanks_and_unix_line_ends(bake: Bake, database: str) -> None:
    project = bake(database=database)
    for path in files(project):
        content = (project / path).read_bytes()
        assert b"\r" not in content, f"{path} has line ends of Windows"
        assert not re.search(rb"[ \t]\n", content), f"{path} has trailing blanks"
        assert not content or re.search(rb"[^\n]\n\Z", content), f"{path} ends untidily"


@pytest.mark.parametrize("database", DATABASES)
def test_every_name_is_legal_on_windows(bake: Bake, database: str) -> None:
    names = [path.as_posix() for path in files(bake(database=database))]
    assert max(Counter(name.lower() for name in names).values()) == 1
    for part in {part for name in names for part in PurePosixPath(name).parts}:
        assert not NOT_ON_WINDOWS.search(part), part
        assert not WINDOWS_DEVICES.fullmatch(part), part


def test_every_name_in_the_template_is_legal_on_windows() -> None:
    for path in files(SERVICE):
        for part in path.parts:
            assert not NOT_ON_WINDOWS.search(part), path
            assert not WINDOWS_DEVICES.fullmatch(part), path


@pytest.mark.parametrize("database", DATABASES)
def test_files_that_tools_parse_can_be_parsed(bake: Bake, database: str) -> None:
    project = bake(database=database)
    for path in files(project):
        content = text(project / path)
        if path.suffix == ".py":
            compile(content, path, "exec")
        elif path.suffix == ".toml":
            tomllib.loads(content)
        elif path.suffix in (".yaml", ".yml"):
            list(yaml.safe_load_all(content))
        elif path.suffix == ".json":
            json.loads(content)


@pytest.mark.parametrize("database", DATABASES)
def test_git_ignores_no_file_of_the_project(project: Bake, git: Any, database: str) -> None:
    folder = project(database=database)
    git("init", "--quiet", cwd=folder)
    assert git("ls-files", "--others", "--ignored", "--exclude-standard", cwd=folder) == ""


# -- The manifest ----------------------------------------------------------------------------------


def test_every_path_of_the_manifest_exists_in_the_template() -> None:
    missing = [path for path in manifest_paths() if not in_template(path).exists()]
    assert missing == []


def test_no_path_is_in_the_manifest_twice() -> None:
    for one, other in product(manifest_paths(), repeat=2):
        assert one == other or not PurePosixPath(one).is_relative_to(other)
    assert max(Counter(manifest_paths()).values()) == 1


def test_every_marked_file_is_in_the_manifest() -> None:
    marked = {
        path.as_posix().replace("{{cookiecutter.package_name}}", "<package>")
        for path in files(SERVICE)
        for feature in post.MANIFEST
        if post.unmarked(path.name, feature) != path.name
    }
    assert marked <= set(manifest_paths())


def test_every_feature_of_the_manifest_belongs_to_an_answer() -> None:
    asked_for = {feature for names in post.DATABASES.values() for feature in names}
    assert set(post.MANIFEST) == asked_for | set(LICENSES)
    assert tuple(post.DATABASES) == DATABASES


def test_pruning_leaves_no_empty_folder(bake: Bake) -> None:
    for database in DATABASES:
        for folder, folders, names in os.walk(bake(database=database)):
            assert folders or names, folder


def manifest_paths() -> list[str]:
    return [path for paths in post.MANIFEST.values() for path in paths]


def in_template(path: str) -> Path:
    return SERVICE / path.replace("<package>", "{{cookiecutter.package_name}}")


def contents(project: Path) -> dict[Path, tuple[int, bytes]]:
    """Every file's mode and bytes."""
    return {
        path: ((project / path).stat().st_mode, (project / path).read_bytes())
        for path in files(project)
    }


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
