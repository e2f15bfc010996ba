"""The service migrates when it starts, and does not start when that fails."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import inspect

from {{ cookiecutter.package_name }}.app import create_app
from {{ cookiecutter.package_name }}.migrate import MigrationError
from {{ cookiecutter.package_name }}.migrations import config
from {{ cookiecutter.package_name }}.settings import Settings


@pytest.fixture
def broken_migration() -> Iterator[Path]:
    path = config.versions / "999_broken.py"
    last = max(file.stem.partition("_")[0] for file in config.versions.glob("[0-9]*.py"))
    path.write_text(
        f'revision = "999"\ndown_revision = "{last}"\n'
        "def upgrade(): raise RuntimeError('no')\n"
        "def downgrade(): pass\n",
        encoding="utf-8",
    )
    yield path
    path.unlink()


def test_starting_creates_the_tables(client: TestClient) -> None:
    engine = client.app.state.engine  # type: ignore[attr-defined]
    assert "alembic_version" in inspect(engine).get_table_names()


def test_a_migration_that_fails_keeps_the_service_from_starting(
    settings: Settings, broken_migration: Path
) -> None:
    with (
        pytest.raises(MigrationError, match=broken_migration.stem),
        TestClient(create_app(settings)),
    ):
        pass
