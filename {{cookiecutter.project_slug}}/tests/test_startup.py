"""The service migrates when it starts, and does not start if that fails."""

import signal
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr, TypeAdapter
from sqlalchemy import inspect
from sqlalchemy.exc import OperationalError

from {{ cookiecutter.package_name }} import migrations, startup
from {{ cookiecutter.package_name }}.app import create_app
from {{ cookiecutter.package_name }}.errors import ActionableError
from {{ cookiecutter.package_name }}.settings import Settings
from {{ cookiecutter.package_name }}.startup import stopped_by_signals, tell_what_is_pending

from .migration_files import add

BREAK = "raise RuntimeError('no')"


@pytest.fixture
def broken_migration(versions: Path) -> Path:
    """An additional migration that fails."""
    return add(versions, "broken", BREAK)


def test_starting_creates_the_tables(client: TestClient) -> None:
    engine = client.app.state.engine  # type: ignore[attr-defined]
    with engine.connect() as connection:
        migrations.config.scope.enter(connection)
        assert "alembic_version" in inspect(connection).get_table_names()


def test_the_service_does_not_start_if_a_migration_fails(
    settings: Settings, broken_migration: Path
) -> None:
    with (
        pytest.raises(ActionableError, match=broken_migration.stem),
        TestClient(create_app(settings)),
    ):
        pass


def test_the_routes_are_built_before_the_first_request(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[object] = []
    build = TypeAdapter.__init__

    def note(self: "TypeAdapter[Any]", type_: Any, **options: Any) -> None:
        built.append(type_)
        build(self, type_, **options)

    monkeypatch.setattr(TypeAdapter, "__init__", note)
    assert client.get("/nothing").status_code == 404
    assert built == []


def test_development_starts_without_warnings(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with TestClient(create_app(settings)):
        output = capsys.readouterr()
    assert "Ready to serve" in output.err
    assert "warning" not in output.err


def test_a_start_that_does_not_migrate_logs_pending_migrations(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with TestClient(create_app(settings.model_copy(update={"auto_migrate": False}))) as client:
        output = capsys.readouterr()
        assert "001_create_users_table is pending" in output.err
        assert client.get("/health/ready").status_code == 503


def test_an_edited_migration_is_logged_with_its_solution(
    settings: Settings, broken_migration: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = broken_migration.read_text(encoding="utf-8").replace(BREAK, "pass")
    broken_migration.write_text(text, encoding="utf-8")
    with TestClient(create_app(settings)) as client:
        broken_migration.write_text(text.replace("pass", "print()"), encoding="utf-8")
        quiet = settings.model_copy(update={"auto_migrate": False})
        tell_what_is_pending(client.app.state.engine, quiet)  # type: ignore[attr-defined]
    output = capsys.readouterr().err
    assert "_broken changed after it was applied" in output
    assert "migrate down, then migrate latest" in output


def test_a_start_without_a_database_is_an_error_in_three_lines(
    settings: Settings, tmp_path: Path
) -> None:
    address = settings.test_database_url
    nowhere = "postgresql://nobody@127.0.0.1:1/app" if address else f"sqlite:///{tmp_path}"
    away = settings.model_copy(update={"test_database_url": SecretStr(nowhere)})
    with pytest.raises(ActionableError) as refused, TestClient(create_app(away)):
        pass
    assert refused.value.code == "database-unreachable-at-start"
    assert len(str(refused.value).splitlines()) == 3


def test_losing_the_database_during_the_start_is_the_same_error(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OperationalError("SELECT 1", {}, Exception("it is gone\nin detail"))

    monkeypatch.setattr(startup, "Replica", fail)
    with (
        pytest.raises(ActionableError, match="it is gone") as refused,
        TestClient(create_app(settings)),
    ):
        pass
    assert refused.value.code == "database-unreachable-at-start"


def test_a_signal_stops_the_start_and_the_earlier_handler_is_restored() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), stopped_by_signals():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("phase", "message"),
    [
        ("expand", "The schema is ahead of this release"),
        ("contract", "This release does not have 1 applied contract"),
    ],
)
def test_a_schema_of_a_newer_release_is_logged(
    settings: Settings,
    versions: Path,
    phase: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    newer = add(versions, "newer", phase=phase)
    with TestClient(create_app(settings)) as client:
        newer.unlink()
        quiet = settings.model_copy(update={"auto_migrate": False})
        tell_what_is_pending(client.app.state.engine, quiet)  # type: ignore[attr-defined]
    logged = capsys.readouterr().err
    assert message in logged
    assert ("code=" in logged) is (phase == "contract")  # that one is an error
