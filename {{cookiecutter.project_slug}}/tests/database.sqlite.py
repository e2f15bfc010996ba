"""Fresh databases for tests: SQLite in memory."""

from collections.abc import Iterator
from contextlib import contextmanager

from {{ cookiecutter.package_name }}.settings import Settings


@contextmanager
def fresh_database(*, unused: bool = False) -> Iterator[Settings]:
    """Settings that name an empty database of their own; here each is an unused one."""
    yield Settings(_env_file=None, environment="test")
