"""Fixtures: an empty database, a migrated one, the service itself."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from {{ cookiecutter.package_name }}.app import create_app
from {{ cookiecutter.package_name }}.database.backend import connect
from {{ cookiecutter.package_name }}.settings import Settings

from .accounts import QUICK, Outbox
from .client import Client
from .database import fresh_database
from .schema import open_session, prepare


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the developer's shell has set must not decide a test."""
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
def client(settings: Settings) -> Iterator[TestClient]:
    """The running service."""
    with Client(create_app(settings)) as client:
        yield client


@pytest.fixture
def outbox(client: TestClient) -> Outbox:
    """The mails that the running service sends."""
    client.app.state.mailer = outbox = Outbox()  # type: ignore[attr-defined]
    return outbox
