"""The transaction of one chunk of a backfill."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from ...config import MigrationConfig
from ..common import bare


@contextmanager
def chunk(
    engine: Engine, _config: MigrationConfig, before_commit: Callable[[], None]
) -> Iterator[Connection]:
    """A transaction that has the write lock from its start. Foreign keys are checked as usual.

    Args:
        before_commit: called before the commit; if it raises, nothing is committed.
    """
    with bare(engine).connect() as connection, connection.begin():
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection
        before_commit()
