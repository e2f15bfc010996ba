"""An empty database beside the service's own, to try migrations in."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, StaticPool, create_engine


@contextmanager
def scratch(engine: Engine) -> Iterator[Engine]:
    """An engine for a new, empty database in memory; it is gone at the end.

    Args:
        engine: not used: the database is this process's own.
    """
    # One connection, which each thread may use: another would be another database.
    made = create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    try:
        yield made
    finally:
        made.dispose()
