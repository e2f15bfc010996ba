"""Records what a migration executes in one tenant's schema, and replays it in others.

A replay is one transaction and one psycopg pipeline: no Alembic, so it may run in threads, and one
round trip to the server.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import psycopg
from psycopg.abc import Params, QueryNoTemplate
from psycopg.rows import Row
from sqlalchemy import Connection, Engine

Statement = tuple[
    QueryNoTemplate, Any, bool
]  # the SQL, its parameters, whether it is an executemany


@dataclass
class Tape:
    """What was executed.

    Attributes:
        statements: of the migrations' bodies, in order.
        tables: statements that made Alembic's own tables.
        obstacle: why it cannot be replayed elsewhere, if it cannot.
    """

    schema: str
    statements: list[Statement] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    obstacle: str | None = None
    recording: bool = False

    def add(self, query: QueryNoTemplate, parameters: Any, *, many: bool, reads: bool) -> None:
        """Note a statement that was executed."""
        if not self.recording:
            if str(query).lstrip().startswith("CREATE TABLE"):
                self.tables.append(str(query))
            return
        self.statements.append((query, parameters, many))
        if reads:
            self.obstacle = "a migration reads rows"
        elif self.schema in str(query) or self.schema in str(parameters):
            self.obstacle = "a statement names the tenant's schema"
        elif ";" in str(query).rstrip().rstrip(";"):
            # Perhaps only inside a string or a function; a pipeline takes no two statements in one.
            self.obstacle = "a string may hold more than one statement"

    def around(self, body: Callable[..., None]) -> Callable[..., None]:
        """A migration's body, recorded while it runs."""

        @wraps(body)
        def run(**arguments: Any) -> None:
            self.recording = True
            try:
                body(**arguments)
            finally:
                self.recording = False

        return run

    def attach(self, connection: Connection) -> None:
        """Record what the driver executes on this connection, however it is called."""
        raw = connection.connection.driver_connection
        assert isinstance(raw, psycopg.Connection)
        if raw.autocommit:
            self.obstacle = "a migration runs outside a transaction"
        raw.cursor_factory = _recording_cursor(self)

    @staticmethod
    def detach(connection: Connection) -> None:
        """Record no more."""
        raw = connection.connection.driver_connection
        assert isinstance(raw, psycopg.Connection)
        raw.cursor_factory = psycopg.Cursor


def _recording_cursor(tape: Tape) -> type[psycopg.Cursor[Any]]:
    class RecordingCursor(psycopg.Cursor[Row]):
        def execute(  # type: ignore[override]
            self, query: QueryNoTemplate, params: Params | None = None, **options: Any
        ) -> Any:
            result = super().execute(query, params, **options)
            tape.add(query, params, many=False, reads=self.description is not None)
            return result

        def executemany(self, query: Any, params_seq: Any, **options: Any) -> None:
            rows = list(params_seq)
            super().executemany(query, rows, **options)
            tape.add(query, rows, many=True, reads=options.get("returning", False))

        def copy(self, *arguments: Any, **options: Any) -> Any:
            tape.obstacle = "a migration copies rows"
            return super().copy(*arguments, **options)

    return RecordingCursor


class Connections:
    """Private connections to the engine's database, each renewed now and then.

    A backend keeps what it learns of each table it touches; after hundreds of schemas it is large.
    """

    def __init__(self, engine: Engine, uses: int = 500) -> None:
        self._pool = engine.pool.recreate()
        self._uses = uses

    @contextmanager
    def worker(self) -> Iterator[Callable[[], "psycopg.Connection[Any]"]]:
        """A function that gives this worker's connection for the next tenant."""
        session: Any = None
        used = 0

        def give() -> "psycopg.Connection[Any]":
            nonlocal session, used
            if session is None or used >= self._uses or session.driver_connection.closed:
                if session is not None:
                    session.invalidate()
                session, used = self._pool.connect(), 0
                session.driver_connection.autocommit = True
            used += 1
            connection: psycopg.Connection[Any] = session.driver_connection
            return connection

        try:
            yield give
        finally:
            if session is not None:
                session.invalidate()


def play(connection: "psycopg.Connection[Any]", statements: Sequence[Statement]) -> None:
    """Execute in one transaction and one round trip; all of it or nothing.

    Raises:
        psycopg.Error: of the statement that failed.
    """
    cursor = connection.cursor()
    with connection.pipeline(), connection.transaction():
        for query, parameters, many in statements:
            if many:
                cursor.executemany(query, parameters)
            else:
                cursor.execute(query, parameters, prepare=False)
