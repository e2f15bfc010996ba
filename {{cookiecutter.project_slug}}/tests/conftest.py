"""Fixtures: an empty database, a migrated one, the service itself."""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from {{ cookiecutter.package_name }} import migrations
from {{ cookiecutter.package_name }}.app import create_app
from {{ cookiecutter.package_name }}.cli import main
from {{ cookiecutter.package_name }}.database.backend import connect
from {{ cookiecutter.package_name }}.settings import Settings

from .accounts import QUICK, Outbox
from .client import Client, Command
from .database import fresh_database
from .schema import open_session, prepare


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables of the developer's shell must not affect a test."""
    for name in Settings.model_fields:
        if name != "test_database_url":
            monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def settings() -> Iterator[Settings]:
    """Settings that name an empty database."""
    with fresh_database() as settings:
        yield settings.model_copy(update=QUICK)


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    """An empty database."""
    engine = connect(settings)
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session on a migrated database."""
    prepare(engine)
    with open_session(engine) as session:
        yield session


@pytest.fixture
def versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the service's migrations, which this test may write to: a copy."""
    copy = replace(migrations.config, directory=tmp_path / "migrations")
    shutil.copytree(migrations.config.directory, copy.directory)
    monkeypatch.setattr(migrations, "config", copy)
    return copy.versions


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    """The running service."""
    with Client(create_app(settings)) as client:
        yield client


@pytest.fixture
def outbox(client: TestClient) -> Outbox:
    """The mails that the running service sends."""
    client.app.state.mailer = outbox = Outbox()  # type: ignore[attr-defined]
    return outbox


@pytest.fixture
def command(
    settings: Settings,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Command:
    """Runs a command line on an empty database: returns exit code and output."""
    address = settings.test_database_url
    url = address.get_secret_value() if address else f"sqlite:///{tmp_path}/test.db"
    monkeypatch.setenv("ENVIRONMENT", "test")
    monkeypatch.setenv("TEST_DATABASE_URL", url)
    for name in ("LISTEN_HOST", "PORT"):  # the values that "serve" sets end with the test
        monkeypatch.setenv(name, "")

    def run(line: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["service", *line.split()])
        with pytest.raises(SystemExit) as end:
            main()
        printed = capsys.readouterr()
        return int(str(end.value.code or 0)), (printed.out + printed.err).strip()

    return run
