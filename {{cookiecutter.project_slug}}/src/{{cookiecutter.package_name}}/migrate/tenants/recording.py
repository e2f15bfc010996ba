"""Records what a run executes in one tenant's schema, so that others can replay it."""

import re
from collections.abc import Callable, Mapping
from functools import wraps
from types import TracebackType
from typing import Any, NamedTuple, Self

import psycopg
from psycopg.abc import Params, QueryNoTemplate
from psycopg.rows import Row
from sqlalchemy import Connection


class Statement(NamedTuple):
    """A statement in the driver's own form.

    Attributes:
        many: whether ``parameters`` is a list of rows, each to be executed.
    """

    query: QueryNoTemplate
    parameters: Any = None
    many: bool = False


class Recording:
    """What a run executed; records while it is open.

    Attributes:
        statements: of the migrations' bodies, in order.
        tables: statements that made Alembic's own tables and the engine's.
        not_replayable_because: why no other tenant can replay it, if so.
    """

    def __init__(self) -> None:
        self.statements: list[Statement] = []
        self.tables: list[Statement] = []
        self.not_replayable_because: str | None = None
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
            self.not_replayable_because = "a migration runs outside a transaction"
        self._raw.add(raw)
        raw.cursor_factory = _recording_cursor(self)
        self._begun = ([], [])

    def commit(self) -> None:
        """Keep what was recorded in this transaction. What is rolled back is never kept."""
        statements, tables = self._begun
        self.statements += statements
        self.tables += tables
        self._begun = ([], [])

    def add(self, statement: Statement, *, reads: bool) -> None:
        """Note a statement that was executed."""
        statements, tables = self._begun
        if self._in_body:
            statements.append(statement)
            if reads:
                self.not_replayable_because = "a migration reads rows"
            elif is_several(str(statement.query)):
                self.not_replayable_because = "a string holds several statements"
        elif str(statement.query).lstrip().startswith("CREATE TABLE"):
            tables.append(statement._replace(parameters=None))

    def wrap(self, body: Callable[..., None]) -> Callable[..., None]:
        """A migration's body, recorded while it runs."""

        @wraps(body)
        def run(**arguments: Any) -> None:
            self._in_body = True
            try:
                body(**arguments)
            finally:
                self._in_body = False

        return run

    def is_like(self, other: "Recording") -> bool:
        """Whether both recorded the same: what differs was made for one tenant, or by chance."""
        return bool(_plain(self.statements) == _plain(other.statements))


# What may hold a semicolon that ends no statement.
_QUOTED = re.compile(
    r"""'(?:[^']|'')*' | "[^"]*" | \$(\w*)\$.*?\$\1\$ | --[^\n]* | /\*.*?\*/""", re.S | re.X
)


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


def _recording_cursor(recording: Recording) -> type[psycopg.Cursor[Any]]:
    class RecordingCursor(psycopg.Cursor[Row]):
        def execute(  # type: ignore[override]
            self, query: QueryNoTemplate, params: Params | None = None, **options: Any
        ) -> Any:
            result = super().execute(query, params, **options)
            recording.add(Statement(query, params), reads=self.description is not None)
            return result

        def executemany(self, query: Any, params_seq: Any, **options: Any) -> None:
            rows = list(params_seq)
            super().executemany(query, rows, **options)
            reads = options.get("returning", False)
            recording.add(Statement(query, rows, many=True), reads=reads)

        def copy(self, *arguments: Any, **options: Any) -> Any:
            recording.not_replayable_because = "a migration copies rows"
            return super().copy(*arguments, **options)

    return RecordingCursor
