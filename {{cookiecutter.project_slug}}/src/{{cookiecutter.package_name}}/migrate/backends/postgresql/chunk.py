"""The transaction of one chunk of a backfill."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from ...config import MigrationConfig
from .connection import migrating


@contextmanager
def chunk(
    engine: Engine, config: MigrationConfig, before_commit: Callable[[], None]
) -> Iterator[Connection]:
    """A transaction that waits for a locked row no longer than for a table's lock.

    Args:
        before_commit: called before the commit; if it raises, nothing is committed.

    Raises:
        ActionableError: transaction-begun.
    """
    with migrating(engine, config, before_commit) as connection, connection.begin():
        yield connection
