"""Records what a run executes in one tenant's schema, and replays it in others.

A replay is one transaction and one psycopg pipeline: no Alembic, so it may run in threads, and one
round trip to the server.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg.abc import Params, QueryNoTemplate
from psycopg.pq import TransactionStatus
from psycopg.rows import Row
from sqlalchemy import Connection, Engine

# The SQL, its parameters, and whether they are many.
Statement = tuple[QueryNoTemplate, Any, bool]

# What may hold a semicolon that ends no statement.
_QUOTED = re.compile(
    r"""'(?:[^']|'')*' | "[^"]*" | \$(\w*)\$.*?\$\1\$ | --[^\n]* | /\*.*?\*/""", re.S | re.X
)


class Tape:
    """What a run executed; records while it is open.

    Attributes:
        statements: of the migrations' bodies, in order.
        tables: statements that made Alembic's own tables and the engine's.
        obstacle: why it cannot be replayed elsewhere, if it cannot.
    """

    def __init__(self) -> None:
        self.statements: list[Statement] = []
        self.tables: list[Statement] = []
        self.obstacle: str | None = None
        self._in_body = False
        self._raw: set[psycopg.Connection[Any]] = set()
        self._begun: tuple[list[Statement], list[Statement]] = ([], [])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for raw in self._raw:
            raw.cursor_factory = psycopg.Cursor

    def begin(self, connection: Connection) -> None:
        """Record what the driver executes in this transaction, however it is called."""
        raw = connection.connection.driver_connection
        assert isinstance(raw, psycopg.Connection)
        if raw.autocommit:
            self.obstacle = "a migration runs outside a transaction"
        self._raw.add(raw)
        raw.cursor_factory = _recording_cursor(self)
        self._begun = ([], [])

    def commit(self) -> None:
        """Keep what was recorded in this transaction. What is rolled back is never kept."""
        statements, tables = self._begun
        self.statements += statements
        self.tables += tables
        self._begun = ([], [])

    def add(self, query: QueryNoTemplate, parameters: Any, *, many: bool, reads: bool) -> None:
        """Note a statement that was executed."""
        statements, tables = self._begun
        if self._in_body:
            statements.append((query, parameters, many))
            if reads:
                self.obstacle = "a migration reads rows"
            elif is_several(str(query)):
                self.obstacle = "a string holds several statements"
        elif str(query).lstrip().startswith("CREATE TABLE"):
            tables.append((query, None, False))

    def around(self, body: Callable[..., None]) -> Callable[..., None]:
        """A migration's body, recorded while it runs."""

        @wraps(body)
        def run(**arguments: Any) -> None:
            self._in_body = True
            try:
                body(**arguments)
            finally:
                self._in_body = False

        return run

    def is_like(self, other: "Tape") -> bool:
        """Whether both recorded the same: what differs was made for one tenant, or by chance."""
        return bool(_plain(self.statements) == _plain(other.statements))


def is_several(query: str) -> bool:
    """Whether a string holds more than one statement; when in doubt, it does."""
    return ";" in _QUOTED.sub("", query).rstrip().rstrip(";")


def _plain(value: Any) -> Any:
    # Wrappers such as psycopg's Jsonb are equal only to themselves.
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return (type(value), value.obj) if hasattr(value, "obj") else value


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
    try:
        with connection.pipeline(), connection.transaction(), connection.cursor() as cursor:
            for query, parameters, many in statements:
                if many:
                    cursor.executemany(query, parameters)
                else:
                    cursor.execute(query, parameters, prepare=False)
    finally:
        if connection.info.transaction_status == TransactionStatus.INERROR:
            connection.rollback()
