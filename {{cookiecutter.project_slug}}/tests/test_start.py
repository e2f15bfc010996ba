"""The service migrates when it starts, and does not start if that fails."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import inspect

from {{ cookiecutter.package_name }} import migrations
from {{ cookiecutter.package_name }}.app import create_app
from {{ cookiecutter.package_name }}.errors import ActionableError
from {{ cookiecutter.package_name }}.settings import Settings
from {{ cookiecutter.package_name }}.startup import tell_what_is_pending


@pytest.fixture
def broken_migration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the migrations with an additional one that fails."""
    copy = replace(migrations.config, directory=tmp_path)
    shutil.copytree(migrations.config.versions, copy.versions)
    monkeypatch.setattr(migrations, "config", copy)
    last = max(file.stem.partition("_")[0] for file in copy.versions.glob("[0-9]*.py"))
    path = copy.versions / "999_broken.py"
    path.write_text(
        f'revision = "999"\ndown_revision = "{last}"\nschemas = "all"\n'
        "def upgrade(): raise RuntimeError('no')\n"
        "def downgrade(): pass\n",
        encoding="utf-8",
    )
    return path


def test_starting_creates_the_tables(client: TestClient) -> None:
    engine = client.app.state.engine  # type: ignore[attr-defined]
    with engine.connect() as connection:
        migrations.config.scope.enter(connection)
        assert "alembic_version" in inspect(connection).get_table_names()


def test_a_migration_that_fails_keeps_the_service_from_starting(
    settings: Settings, broken_migration: Path
) -> None:
    with (
        pytest.raises(ActionableError, match=broken_migration.stem),
        TestClient(create_app(settings)),
    ):
        pass


def test_development_starts_without_a_word_about_production(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with TestClient(create_app(settings)):
        said = capsys.readouterr()
    assert "Ready to serve" in said.err
    assert "warning" not in said.err


def test_a_start_that_does_not_migrate_says_what_waits(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with TestClient(create_app(settings.model_copy(update={"auto_migrate": False}))) as client:
        said = capsys.readouterr()
        assert "001_create_users_table is pending" in said.err
        assert client.get("/health/ready").status_code == 503


def test_an_edited_migration_is_told_with_its_cure(
    settings: Settings, broken_migration: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = broken_migration.read_text(encoding="utf-8").replace("raise RuntimeError('no')", "pass")
    broken_migration.write_text(text, encoding="utf-8")
    with TestClient(create_app(settings)) as client:
        broken_migration.write_text(text.replace("pass", "print()"), encoding="utf-8")
        quiet = settings.model_copy(update={"auto_migrate": False})
        tell_what_is_pending(client.app.state.engine, quiet)  # type: ignore[attr-defined]
    said = capsys.readouterr().err
    assert "999_broken changed after it was applied" in said
    assert "migrate down, then migrate latest" in said
