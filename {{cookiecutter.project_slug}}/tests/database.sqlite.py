"""Fresh databases for tests: SQLite in memory."""

from collections.abc import Iterator
from contextlib import contextmanager

from {{ cookiecutter.package_name }}.settings import Settings


@contextmanager
def fresh_database(*, unused: bool = False) -> Iterator[Settings]:
    """Settings for a separate empty database; here each is a new one."""
    yield Settings(_env_file=None, environment="test")
