"""Each generated service passes its own checks without a change."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Bake

from tools.services import CACHE, DATABASES, ServiceEnvironment, warm_copy

PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider")

each_database = pytest.mark.parametrize("database", DATABASES)


def test_the_service_passes_its_own_tests(
    project: Bake, service_environment: ServiceEnvironment
) -> None:
    service_environment.succeed(project(database="sqlite"), *PYTEST)


@pytest.mark.thorough
def test_the_service_passes_its_own_tests_with_the_required_coverage(
    project: Bake, service_environment: ServiceEnvironment
) -> None:
    folder = project(database="postgresql")
    service_environment.succeed(folder, "-m", "coverage", "run", *PYTEST)
    service_environment.succeed(folder, "-m", "coverage", "report")


@pytest.mark.thorough
def test_the_multi_tenant_service_passes_its_own_tests_on_test_database_url(
    project: Bake, newest_environment: ServiceEnvironment, postgres: str
) -> None:
    folder = project(database="postgresql-multi-tenant")
    server = {"TEST_DATABASE_URL": postgres}
    newest_environment.succeed(folder, "-m", "coverage", "run", *PYTEST, **server)
    newest_environment.succeed(folder, "-m", "coverage", "report")


def test_every_service_passes_mypy_strict(service_environment: ServiceEnvironment) -> None:
    # One after the other: mypy reads the packages once and caches the result.
    cache = str(CACHE / "mypy")
    for database in DATABASES:
        with warm_copy(database) as project:
            service_environment.succeed(project, "-m", "mypy", "--cache-dir", cache)


@each_database
def test_the_service_passes_ruff(
    project: Bake, service_environment: ServiceEnvironment, database: str
) -> None:
    folder = project(database=database)
    service_environment.succeed(folder, "-m", "ruff", "check", "--no-cache")
    service_environment.succeed(folder, "-m", "ruff", "format", "--check", "--no-cache")


@each_database
def test_plain_alembic_upgrades_checks_and_downgrades(
    project: Bake, service_environment: ServiceEnvironment, empty_database: Any, database: str
) -> None:
    folder, address = project(database=database), empty_database(database)
    commands = [["upgrade", "head"], ["check"], ["downgrade", "base"]]
    program = f"from alembic.config import main\nfor words in {commands}: main(words)"
    output = service_environment.succeed(folder, "-c", program, DATABASE_URL=address)
    assert "No new upgrade operations detected." in output
