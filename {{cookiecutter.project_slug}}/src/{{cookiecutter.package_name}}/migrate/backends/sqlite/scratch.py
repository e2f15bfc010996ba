"""An empty database in memory, to try migrations in."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, StaticPool, create_engine


@contextmanager
def scratch(engine: Engine) -> Iterator[Engine]:
    """An engine for a new, empty database in memory; it disappears at the end.

    Args:
        engine: not used: the database belongs to this process.
    """
    # One connection for all threads: a second connection would be a second database.
    made = create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    try:
        yield made
    finally:
        made.dispose()
