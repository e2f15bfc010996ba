"""Cursors that execute no statement outside their tenant.

A tenant's search path and role are set for one transaction. Not only the session ends
transactions: the connection, the driver and a raw COMMIT can do it too; and a SET changes the path
inside one. So the driver's cursors check before each statement, and enter the tenant again if it
is not certain that path and role are still set.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any, cast

import psycopg
from psycopg.abc import Params, Query
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import Row, tuple_row
from sqlalchemy import Pool, event

from . import tenant_errors as errors

# One statement checks, quotes and enters. If the row is missing, it enters nothing. A role that
# does not own the schema does not own all its objects yet.
_ENTER = """
SELECT t.status, r.oid IS NOT NULL,
       set_config('search_path', quote_ident(n.nspname) || ', pg_temp', true),
       CASE WHEN r.oid IS NOT NULL THEN set_config('role', n.nspname, true) END
FROM public.tenants t
JOIN pg_namespace n ON n.nspname = t.schema_name
LEFT JOIN pg_roles r ON %(role)s AND r.rolname = t.schema_name AND n.nspowner = r.oid
                    AND pg_has_role(session_user, r.oid, 'MEMBER')
WHERE t.id = %(tenant)s AND t.schema_name = 'tenant_' || t.id
"""

# The parts of DISCARD ALL that a transaction may contain. DISCARD PLANS is not needed.
# https://www.postgresql.org/docs/current/sql-discard.html
_CLEAN = (
    "SET SESSION AUTHORIZATION DEFAULT",
    "RESET ALL",
    "DEALLOCATE ALL",
    "CLOSE ALL",
    "UNLISTEN *",
    "SELECT pg_advisory_unlock_all()",
    "DISCARD TEMP",
    "DISCARD SEQUENCES",
)
_LEAVE_ROLE = ("SET LOCAL ROLE NONE",)  # to read the registry, which tenants may not read

# These do not change the transaction or its settings.
_PLAIN = frozenset(
    ("select", "insert", "update", "delete", "merge", "with", "values", "savepoint", "release")
)
_LEAVING = frozenset(
    ("begin", "start", "commit", "end", "abort", "rollback", "prepare", "set", "reset", "discard")
)
_QUOTED = re.compile(
    r"""\be'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "[^"]*" | \$(\w*)\$.*?\$\1\$
    | --[^\n]* | /\*.*?\*/""",
    re.S | re.X | re.I,
)


class TenantGuard:
    """Keeps all statements of a connection inside one tenant, until it is back in the pool.

    Attributes:
        connection: the guarded connection.

    Args:
        shared: whether others may have used the server connection since the last
            transaction, as behind a pooler. Entering the tenant removes what they left.
        tenant: its id.
        role: whether the tenant has its own role.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], shared: bool, tenant: str, *, role: bool
    ) -> None:
        self._values = {"tenant": tenant, "role": role}
        self.move(connection, shared)

    def move(self, connection: psycopg.Connection[Any], shared: bool) -> None:
        """Guard this connection from now on."""
        self.connection = connection
        self._shared = shared
        self._has_entered = False
        self._is_certain = True  # whether path and role are still those of the transaction's start
        connection.cursor_factory = cast(Any, partial(_GuardedCursor, self))
        connection.server_cursor_factory = cast(Any, partial(_GuardedServerCursor, self))

    def before(self, query: Query) -> None:
        """Called before each statement.

        Raises:
            ActionableError: the connection is in autocommit mode (tenant-in-autocommit), a string
                of several statements ends the transaction and continues
                (tenant-left-within-string), or the statement is LISTEN behind a pooler
                (tenant-listens-behind-pooler).
            HttpError: as ``enter``.
        """
        if self.connection.autocommit:
            raise errors.tenant_in_autocommit()
        words = _first_words(_text(query, self.connection))
        # An UNLISTEN would take effect only at the next commit.
        if self._shared and "listen" in words:
            raise errors.tenant_listens_behind_pooler()
        self.enter()
        self._is_certain = _PLAIN.issuperset(words)

    def enter(self) -> None:
        """Enter the tenant, unless the connection is certainly in it.

        Raises:
            HttpError: there is no such tenant (404, tenant-unknown); or it is being created,
            migrated
                or removed, or its role is missing (503, tenant-not-ready).
        """
        status = self.connection.info.transaction_status
        is_inside = status == TransactionStatus.INTRANS and self._has_entered and self._is_certain
        if not is_inside and status != TransactionStatus.INERROR:
            begins = status == TransactionStatus.IDLE
            leave = () if begins and self._is_certain else _LEAVE_ROLE
            self._enter(_CLEAN if begins and self._shared else leave)
            self._has_entered = self._is_certain = True

    def _enter(self, before: tuple[str, ...]) -> None:
        row = self._ask(before).fetchone()
        tenant = str(self._values["tenant"])
        if row is None:
            raise errors.tenant_unknown(tenant)
        status, owns, *_ = row
        if status != "ready":
            raise errors.tenant_not_ready(tenant, status)
        if self._values["role"] and not owns:
            raise errors.tenant_not_ready(tenant, "it has no database role")

    def _ask(self, before: tuple[str, ...]) -> psycopg.Cursor[Any]:
        if before:
            # One string is one round trip. A pipeline does not allow several statements in one
            # string, and does not need them.
            in_pipeline = self.connection.pgconn.pipeline_status != PipelineStatus.OFF
            for statement in before if in_pipeline else ("; ".join(before),):
                psycopg.Cursor(self.connection).execute(statement)
        cursor = psycopg.Cursor(self.connection, row_factory=tuple_row)
        return cursor.execute(_ENTER, self._values)


class _GuardedCursor(psycopg.Cursor[Row]):
    def __init__(self, guard: TenantGuard, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self._guard = guard

    def execute(self, query: Any, params: Params | None = None, **how: Any) -> Any:
        self._guard.before(query)
        return super().execute(query, params, **how)

    def executemany(self, query: Any, *args: Any, **how: Any) -> None:
        self._guard.before(query)
        super().executemany(query, *args, **how)

    def stream(self, query: Any, *args: Any, **how: Any) -> Iterator[Row]:
        self._guard.before(query)
        return super().stream(query, *args, **how)

    @contextmanager
    def copy(self, statement: Any, *args: Any, **how: Any) -> Iterator[psycopg.Copy]:
        self._guard.before(statement)
        with super().copy(statement, *args, **how) as copy:
            yield copy


class _GuardedServerCursor(psycopg.ServerCursor[Row]):
    def __init__(self, guard: TenantGuard, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self._guard = guard

    def execute(self, query: Any, params: Params | None = None, **how: Any) -> Any:
        self._guard.before(query)
        return super().execute(query, params, **how)


@event.listens_for(Pool, "reset")
def _unguard(raw: Any, *_: object) -> None:
    # Runs before others can get the connection.
    if isinstance(raw, psycopg.Connection):
        raw.cursor_factory = psycopg.Cursor
        raw.server_cursor_factory = psycopg.ServerCursor


def _text(query: Query, raw: psycopg.Connection[Any]) -> str:
    if isinstance(query, bytes):
        return query.decode(errors="replace")
    if isinstance(query, psycopg.sql.Composable):
        return query.as_string(raw)
    return query if isinstance(query, str) else ""  # a template is one statement


@lru_cache(maxsize=1024)
def _first_words(query: str) -> tuple[str, ...]:
    """The first word of each statement in a string; ``set`` if it calls ``set_config``.

    Raises:
        ActionableError: it has several statements, and one of them changes path, role or
        transaction
            for the next (tenant-left-within-string).
    """
    parts = [part.split(None, 1) for part in _QUOTED.sub(" ", query).split(";")]
    words = [part[0].lower().strip("(") for part in parts if part]
    is_several = len(words) > 1
    if "set_config" in query.lower():
        words.append("set")
    if is_several and not _LEAVING.isdisjoint(words):
        raise errors.tenant_left_within_string()
    return tuple(words)
