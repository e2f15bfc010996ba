"""Fixtures: an empty database, a copy of the service's migrations, and tenants."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
from my_service.database.backend import connect
from my_service.settings import Settings

from tenants.support import (
    Service,
    create_database,
    drop_database,
    empty_cluster,
    empty_database,
    server_url,
)


@pytest.fixture(scope="session", autouse=True)
def empty() -> Iterator[None]:
    """Removes the empty database of a cluster at the end."""
    yield
    if empty_cluster.cache_info().currsize:
        drop_database(empty_cluster())


@pytest.fixture(scope="session")
def spare_databases() -> Iterator[list[str]]:
    """Names of empty databases. They are used again, since making one takes most of a test's time."""
    names: list[str] = []
    yield names
    for name in names:
        drop_database(name)


@pytest.fixture
def address(spare_databases: list[str]) -> Iterator[str]:
    """The address of an empty database."""
    if spare_databases:
        name = spare_databases.pop()
    else:
        name = f"tenants_{uuid4().hex}"
        create_database(name)
    yield server_url(name).render_as_string(hide_password=False)
    if empty_database(name):
        spare_databases.append(name)
    else:
        drop_database(name)


@pytest.fixture
def engine(address: str) -> Iterator[sa.Engine]:
    """The service's engine on it."""
    engine = connect(Settings(_env_file=None, environment="development", database_url=address))
    yield engine
    engine.dispose()


@pytest.fixture
def service(
    engine: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Service]:
    """The service's own migrations in a folder for additions, and its command line."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("ENVIRONMENT", "development")
    monkeypatch.setenv("MIGRATION_VERIFY", "off")  # many tests change a schema by hand
    url = engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("DATABASE_URL", url)
    assert os.environ["DATABASE_URL"] == url
    service = Service(engine, tmp_path / "migrations", monkeypatch)
    yield service
    service.forget_roles()
    service.engine.dispose()
