"""Fresh databases for tests: on the server TEST_DATABASE_URL names, or on the embedded one."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from uuid import uuid4

from pydantic import SecretStr
from sqlalchemy import URL, NullPool, create_engine, text

from {{ cookiecutter.package_name }}.database.backend import connect
from {{ cookiecutter.package_name }}.settings import Settings


@contextmanager
def fresh_database() -> Iterator[Settings]:
    """Settings that name an empty database of their own."""
    name = f"test_{uuid4().hex}"
    _administer(f'CREATE DATABASE "{name}"')
    address = _server().set(database=name).render_as_string(hide_password=False)
    try:
        yield Settings(_env_file=None, environment="test", test_database_url=SecretStr(address))
    finally:
        _administer(f'DROP DATABASE "{name}" WITH (FORCE)')


@cache
def _server() -> URL:
    return connect(Settings(_env_file=None, environment="test")).url


def _administer(statement: str) -> None:
    engine = create_engine(_server(), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
