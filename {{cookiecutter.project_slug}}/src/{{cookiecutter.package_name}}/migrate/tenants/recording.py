"""Records the statements of a run in one tenant's schema, so that others can replay them.

A migration's body may do anything, but most bodies only execute statements. The statements of such
a body cannot depend on the tenant, so they are the same for all. A body that observes something
(rows, a row count, an error, its schema's name) may continue differently for another tenant.
So a recorded body gets proxies for the connection and for the objects that it executes. It can
execute; any other use is a reason not to replay.
"""

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import wraps
from types import MethodType, TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import psycopg
from psycopg.abc import QueryNoTemplate
from psycopg.rows import Row
from sqlalchemy import Connection, Result

from .watched import watched

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext


class Statement(NamedTuple):
    """A statement in the driver's own form.

    Attributes:
        many: whether ``parameters`` is a list of rows, to execute one by one.
        in_body: whether a migration's body executed it (not the engine).
    """

    query: QueryNoTemplate
    parameters: Any = None
    many: bool = False
    in_body: bool = False


class Recording:
    """The executed statements of a run; it records while it is open.

    Attributes:
        transactions: the statements of each committed transaction, in order: those of the bodies,
            and those of Alembic and the engine for their tables.
        not_replayable_because: the reason why no other tenant can replay it, if any.
    """

    def __init__(self) -> None:
        self.transactions: list[list[Statement]] = []
        self.not_replayable_because: str | None = None
        self._begun: list[Statement] = []
        self._has_body = False
        self._in_body = False
        self._executed = 0  # statements that the driver executed for the body's current one
        self._connections: dict[psycopg.Connection[Any], tuple[Any, Any]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for raw, (factory, server_factory) in self._connections.items():
            raw.cursor_factory, raw.server_cursor_factory = factory, server_factory

    def begin(self, connection: Connection) -> None:
        """Record the driver's statements in the transaction that has just begun."""
        raw = connection.connection.driver_connection
        assert isinstance(raw, psycopg.Connection)
        if raw.autocommit:
            self.refuse("a migration runs outside a transaction")
        self._connections.setdefault(raw, (raw.cursor_factory, raw.server_cursor_factory))
        raw.cursor_factory = _recording_cursor(self)
        raw.server_cursor_factory = _refusing_cursor(self)
        self._begun, self._has_body = [], False

    def commit(self) -> None:
        """Keep the statements of this transaction. Those of a rolled-back one are dropped."""
        if self._has_body:
            self.transactions.append(self._begun)
        elif self._begun:
            self.refuse("the tenant's history was updated to alembic_version")
        self._begun, self._has_body = [], False

    def refuse(self, reason: str) -> None:
        """Note why this cannot be replayed; only the first reason is kept."""
        self.not_replayable_because = self.not_replayable_because or reason

    def add(self, query: QueryNoTemplate, parameters: Any, *, many: bool) -> None:
        """Record an executed statement, with its current parameters."""
        if not self._in_body:
            if not _IS_QUERY.match(str(query)):
                self._begun.append(Statement(query, parameters, many))
            return
        self._begun.append(Statement(query, parameters, many, in_body=True))
        self._executed += 1
        if self._executed > 1:  # by a default, or other code that gets the real connection
            self.refuse("a statement of a migration causes other statements")
        if is_several(str(query)):
            self.refuse("a string contains several statements")
        elif uses_session(str(query)):
            self.refuse("a statement uses the state of the session, or ends the transaction")

    def wrap(self, body: Callable[..., None]) -> Callable[..., None]:
        """A migration's body, recorded while it runs."""

        @wraps(body)
        def run(**arguments: Any) -> None:
            from alembic import op

            from ..alembic_bridge import operations_on

            self._has_body = self._in_body = True
            try:
                with operations_on(self._watched_context(op.get_context())):
                    body(**arguments)
            finally:
                self._in_body = False

        return run

    def is_like(self, other: "Recording") -> bool:
        """Whether both executed the same; a difference was made for one tenant, or by chance."""
        return bool(_comparable(self.transactions) == _comparable(other.transactions))

    def _watched_context(self, context: "MigrationContext") -> "MigrationContext":
        from ..alembic_bridge import attributes_with, options_of

        assert context.bind is not None
        options = options_of(context)
        scope = options["scope"]
        options = options | {
            "scope": watched(scope, self._tell, {"runs": scope.runs}),
            # They know the tenant.
            "on_version_apply": watched(options["on_version_apply"], self._tell),
        }
        connection = self._watched_connection(context.bind)
        return watched(context, self._tell, attributes_with(context, connection, options))

    def _watched_connection(self, connection: Connection) -> Connection:
        harmless = {
            "dialect": connection.dialect,
            "exec_driver_sql": self._recorded(connection.exec_driver_sql),
            "execute": self._recorded(connection.execute),
            "in_transaction": connection.in_transaction,
            "schema_for_object": connection.schema_for_object,
        }
        stand_in = watched(connection, self._tell, harmless)
        # CREATE TABLE and CREATE TYPE by SQLAlchemy, which may check for existing objects.
        harmless["_run_ddl_visitor"] = MethodType(Connection._run_ddl_visitor, stand_in)
        return stand_in

    def _recorded(self, execute: Callable[..., Any]) -> Callable[..., Any]:
        """The connection's method; what it returns reports each use."""

        def run(statement: Any, parameters: Any = None, *more: Any, **options: Any) -> Any:
            if more or options:
                self.refuse("a statement is executed with options")
            self._executed = 0
            try:
                result = execute(statement, parameters, *more, **options)
            except BaseException as error:
                self.refuse(f"a migration may catch {type(error).__name__}")
                raise
            if not isinstance(result, Result):  # the value of a sequence or a default
                self.refuse(f"a migration gets a value from {type(statement).__name__}")
                return result
            return watched(result, self._tell)

        return run

    def _tell(self, used: str) -> None:
        self.refuse(f"a migration uses {used}")


def _recording_cursor(recording: Recording) -> type[psycopg.Cursor[Any]]:
    class RecordingCursor(psycopg.Cursor[Row]):
        def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
            kept = _copied(params, recording)
            result = super().execute(query, params, **options)
            recording.add(query, kept, many=False)
            return result

        def executemany(self, query: Any, params_seq: Any, **options: Any) -> None:
            rows = list(params_seq)
            kept = _copied(rows, recording)
            super().executemany(query, rows, **options)
            recording.add(query, kept, many=True)

    return RecordingCursor


def _refusing_cursor(recording: Recording) -> type[psycopg.ServerCursor[Any]]:
    class RefusingCursor(psycopg.ServerCursor[Row]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            recording.refuse("a migration opens a server-side cursor")
            super().__init__(*arguments, **options)

    return RefusingCursor


def _copied(parameters: Any, recording: Recording) -> Any:
    # A body may change the object after the call and execute with it again.
    try:
        return deepcopy(parameters)
    except Exception as error:
        recording.refuse(f"parameters cannot be copied: {type(error).__name__}")
        return None


# The engine's own queries, some of which begin with a comment, and their savepoints.
_IS_QUERY = re.compile(
    r"(\s|--[^\n]*\n)*(select|show|with|set|savepoint|release|rollback to)\b", re.I
)
# Parts that may contain a semicolon that does not end a statement; comments among them do nothing.
_QUOTED = re.compile(
    r"""'(?:[^']|'')*' | "[^"]*" | \$(\w*)\$.*?\$\1\$ | (?P<comment> --[^\n]* | /\*.*?\*/ )""",
    re.S | re.X,
)
# Statements that use or leave state of the session beyond the transaction, leave the
# tenant's schema, or end the transaction. If one is hidden in a function, nothing reaches the
# next tenant either: see scope.FORGET_SESSION, scope.NEW_SESSION and Scope.restore.
_SESSION = re.compile(
    r"""^\s*(abort|begin|checkpoint|close|commit|deallocate|declare|discard|end|execute|fetch
        |listen|load|move|prepare|release|reset|rollback|savepoint|set|start|unlisten|vacuum)\b
      | \btemp(orary)?\s+(recursive\s+)?(sequence|table|view)\b | \binto\s+temp(orary)?\b
      | \bpg_temp\b | \bcurrval\b | \blastval\b | \bset_config\b | \bcurrent_setting\b
      | \bsearch_path\b | \bpg_(try_)?advisory""",
    re.I | re.X,
)


def is_several(query: str) -> bool:
    """Whether a string contains more than one statement; when in doubt, it does."""
    return ";" in _QUOTED.sub("", query).rstrip().rstrip(";")


def uses_session(query: str) -> bool:
    """Whether a statement uses state beyond its transaction, or ends the transaction."""
    without_comments = _QUOTED.sub(lambda found: "" if found["comment"] else found[0], query)
    return _SESSION.search(without_comments) is not None


def _comparable(value: Any) -> Any:
    # 1 == True == 1.0, and wrappers such as psycopg's Jsonb are equal only to themselves.
    if isinstance(value, Statement):
        # The engine's own statements contain the time.
        parameters = _comparable(value.parameters) if value.in_body else None
        return (str(value.query), parameters, value.many)
    if isinstance(value, Mapping):
        return {key: _comparable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_comparable(item) for item in value]
    if hasattr(value, "obj"):
        return (type(value), _comparable(value.obj))
    return (type(value), repr(value))
