"""While you develop, code that changes starts the service again; migrations are only told."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import uvicorn
from sqlalchemy import Engine

from {{ cookiecutter.package_name }}.cli.serve import reloader
from {{ cookiecutter.package_name }}.cli.serve.reloader import Reloader
from {{ cookiecutter.package_name }}.migrate import run_migrations
from {{ cookiecutter.package_name }}.migrations import config_for
from {{ cookiecutter.package_name }}.settings import Settings

from .migration_files import add


@pytest.fixture
def watching(
    settings: Settings, engine: Engine, versions: Path, monkeypatch: pytest.MonkeyPatch
) -> Reloader:
    """A reloader of a service whose code is only a module and its migrations."""
    service = versions.parents[1]
    (service / "module.py").touch()
    run_migrations(engine, config=config_for(settings)).raise_for_error()
    monkeypatch.setattr(reloader, "SERVICE", service)
    monkeypatch.setattr(reloader, "migrations_config", config_for(settings))
    config = uvicorn.Config("", reload_delay=0, log_config=None)
    watching = Reloader(config, lambda **_: None, [], engine, settings)
    watching.process = SimpleNamespace(is_alive=lambda: True)  # type: ignore[assignment]
    return watching


def change(path: Path) -> Path:
    """As an editor does, at a later time."""
    os.utime(path, (later := path.stat().st_mtime + 10, later))
    return path


def test_changed_code_restarts_the_service(watching: Reloader, versions: Path) -> None:
    assert watching.should_restart() is None
    module = change(versions.parents[1] / "module.py")
    assert watching.should_restart() == [module]
    assert watching.should_restart() is None
    module.unlink()
    assert watching.should_restart() == [module]


def test_a_changed_migration_is_logged_and_does_not_restart_the_service(
    watching: Reloader, versions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = add(versions, "do_nothing")
    assert watching.should_restart() is None
    output = capsys.readouterr()
    assert f"{made.stem} is pending" in output.out + output.err


def test_a_changed_migration_restarts_a_service_that_failed_to_start(
    watching: Reloader, versions: Path
) -> None:
    made = add(versions, "do_nothing")
    watching.process.is_alive = lambda: False  # type: ignore[method-assign]
    assert watching.should_restart() == [made]


def test_a_restarted_service_does_not_migrate(
    watching: Reloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTO_MIGRATE", "true")
    monkeypatch.setattr("uvicorn.supervisors.basereload.BaseReload.restart", lambda _: None)
    watching.restart()
    assert os.environ["AUTO_MIGRATE"] == "false"
