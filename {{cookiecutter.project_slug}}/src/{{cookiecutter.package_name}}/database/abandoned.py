"""Connections of sessions that nobody closed.

A client leaves, and the generator that streams to it becomes garbage together with its open
session. Python's collector first calls weak references, so SQLAlchemy returns the connection to the
pool; then it ends the generator, whose ``with`` block closes the session and returns the connection
again, while the next request uses it. Two requests then share one connection.
"""

import weakref

from sqlalchemy import Connection


def return_once(connection: Connection) -> None:
    """A listener for an engine's ``engine_connect``: return the pool's connection only once."""
    # The reference to what the pool gave keeps it out of the garbage; its close() counts.
    weakref.finalize(connection, connection.connection.close).atexit = False
