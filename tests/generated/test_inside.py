"""Runs ``tests/inside`` (the engine and the tenants) inside the services."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Bake

from tools.services import (
    ServiceEnvironment,
    inside_command,
    inside_folder,
    inside_variables,
)

# Slow files are separate parts, so that two workers share the work. The others are one part.
SLOW = {
    "sqlite": ("processes",),
    "postgresql": ("drift_postgresql", "lint_postgresql", "processes", "command_sequences"),
    "postgresql-multi-tenant": (
        "all_tenants",
        "isolation",
        "lifecycle",
        "replay",
        "replay_bodies",
        "session_state",
    ),
}
PARTS = [
    pytest.param(database, part, marks=[] if database == "sqlite" else pytest.mark.thorough)
    for database, slow in SLOW.items()
    for part in (*slow, "rest")
]


@pytest.mark.parametrize(("database", "part"), PARTS)
def test_the_tests_of_tests_inside_pass(
    project: Bake,
    service_environment: ServiceEnvironment,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    database: str,
    part: str,
) -> None:
    server = "" if database == "sqlite" else str(request.getfixturevalue("postgres_server"))
    folder = project(database=database)  # a copy, since these tests leave caches in it
    service_environment.succeed(
        folder,
        *inside_command("-rs", "--basetemp", str(tmp_path / "inside"), *chosen(database, part)),
        **inside_variables(folder, database, server),
    )


def chosen(database: str, part: str) -> list[str]:
    """The files of a part."""
    folder = inside_folder(database)
    slow = {name: folder / f"test_{name}.py" for name in SLOW[database]}
    if part != "rest":
        return [str(slow[part])]
    return [str(path) for path in sorted(folder.glob("test_*.py")) if path not in slow.values()]
