"""A driver's connection that executes no statement outside its tenant.

A tenant's search path and role are set for one transaction. The session, the connection, the
driver and a raw COMMIT can each end a transaction, and a SET changes the path inside one. So the
driver's cursors check before each statement. If path and role may have changed, they enter the
tenant again.

Behind a pooler, other clients use the server connection after each transaction. So a transaction
that may leave something there ends with ``COMMIT AND CHAIN``, and the chained transaction removes
it: a client without this guard finds nothing either. Entering a tenant removes such things as well,
because clients without this guard may use the same pooler.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from threading import RLock
from typing import Any, NamedTuple, cast

import psycopg
from psycopg.abc import Params, Query
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import Row, tuple_row
from sqlalchemy import Pool, event
from sqlalchemy.pool import PoolResetState

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
_SETS = re.compile(r"set_config|pg_settings", re.I)
_STAYS = re.compile(r"\btemp(orary)?\b|advisory", re.I)  # SELECT … INTO TEMPORARY
# Not: ROLLBACK TO a savepoint, COMMIT PREPARED.
_ENDS = re.compile(
    r"(?:(commit|end)|abort|rollback)\b(?!\s+(?:(?:work|transaction)\s+)?(?:to|prepared)\b)", re.I
)


class _Effect(NamedTuple):
    """What a string of statements may do.

    Attributes:
        moves: change the transaction, the path or the role.
        stays: leave something on the session after its transaction.
        ends: how it ends the transaction: COMMIT or ROLLBACK.
        listens: listen to a channel.
    """

    moves: bool
    stays: bool
    ends: str | None
    listens: bool


class TenantGuard:
    """Keeps all statements of a connection inside one tenant, until it is back in the pool.

    Attributes:
        connection: the guarded connection.
        is_over: whether it is back in the pool.
        lock: so that no other thread ends the transaction between the check and the statement.

    Args:
        shared: whether others use the server connection before and after each transaction, as
            behind a pooler. Entering the tenant removes what they left; the end of a transaction
            removes what it would leave.
        tenant: its id.
        role: whether the tenant has its own role.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], shared: bool, tenant: str, *, role: bool
    ) -> None:
        self.lock = RLock()
        self._values = {"tenant": tenant, "role": role}
        self.is_over = False
        self.move(connection, shared)

    def move(self, connection: psycopg.Connection[Any], shared: bool) -> None:
        """Guard this connection from now on."""
        self.connection = connection
        self._shared = shared
        self._has_entered = False  # in the current transaction
        self._is_certain = True  # whether path and role are still those of the transaction's start
        self._is_clean = True  # whether the transaction leaves nothing on the session
        connection.__class__ = _GuardedConnection
        cast("_GuardedConnection[Any]", connection).guard = self
        connection.cursor_factory = cast(Any, partial(_GuardedCursor, self))
        connection.server_cursor_factory = cast(Any, partial(_GuardedServerCursor, self))

    def before(self, query: Query, *, stays: bool = False) -> None:
        """Called before each statement.

        Args:
            stays: whether it leaves something on the session, although its text does not say so.

        Raises:
            ActionableError: the connection is in autocommit mode (tenant-in-autocommit), a string
                of several statements ends the transaction and continues
                (tenant-left-within-string), the statement is LISTEN behind a pooler
                (tenant-listens-behind-pooler), or the connection is no longer this session's
                (tenant-session-over).
            HttpError: as ``enter``.
        """
        if self.is_over:
            raise errors.tenant_session_over()
        if self.connection.autocommit:
            raise errors.tenant_in_autocommit()
        effect = _effect(_text(query, self.connection))
        # An UNLISTEN would take effect only at the next commit.
        if self._shared and effect.listens:
            raise errors.tenant_listens_behind_pooler()
        self.enter()
        self._is_certain = not effect.moves
        self._is_clean = self._is_clean and not (stays or effect.stays)
        if effect.ends:
            self.end(effect.ends)

    def enter(self) -> None:
        """Enter the tenant, unless the connection is certainly in it.

        Raises:
            HttpError: there is no such tenant (404, tenant-unknown); or it is being created,
            migrated
                or removed, or its role is missing (503, tenant-not-ready).
        """
        status = self.connection.info.transaction_status
        is_new = status == TransactionStatus.IDLE
        if is_new:
            self._has_entered = False
        is_inside = status == TransactionStatus.INTRANS and self._has_entered and self._is_certain
        if not is_inside and status != TransactionStatus.INERROR:
            leave = () if is_new and self._is_certain else _LEAVE_ROLE
            self._enter(_CLEAN if self._shared and not self._has_entered else leave)
            self._has_entered = self._is_certain = True

    def begin(self) -> None:
        """Called before the driver itself begins a transaction or a savepoint.

        To roll back a savepoint would also undo an entering within it.

        Raises:
            HttpError: as ``enter``.
        """
        if self.connection.info.transaction_status == TransactionStatus.IDLE:
            self._has_entered = False
        else:
            self.enter()

    def end(self, how: str) -> None:
        """Called before a transaction ends. Behind a pooler, removes what it would leave.

        Args:
            how: COMMIT or ROLLBACK.
        """
        nothing = (TransactionStatus.IDLE, TransactionStatus.UNKNOWN)
        is_begun = self.connection.info.transaction_status not in nothing
        if is_begun and self._shared and not self._is_clean:
            self._execute(f"{how} AND CHAIN", *_CLEAN)
        self._is_clean = True
        self._has_entered = False

    def release(self) -> None:
        """Called before the connection goes back to the pool."""
        self.is_over = True
        self.end("ROLLBACK")

    def _enter(self, before: tuple[str, ...]) -> None:
        if before:
            self._execute(*before)
        cursor = psycopg.Cursor(self.connection, row_factory=tuple_row)
        row = cursor.execute(_ENTER, self._values).fetchone()
        tenant = str(self._values["tenant"])
        if row is None:
            raise errors.tenant_unknown(tenant)
        status, owns, *_ = row
        if status != "ready":
            raise errors.tenant_not_ready(tenant, status)
        if self._values["role"] and not owns:
            raise errors.tenant_not_ready(tenant, "it has no database role")

    def _execute(self, *statements: str) -> None:
        # One string is one round trip, during which a pooler gives the server connection to nobody
        # else. A pipeline does not allow several statements in one string, and does not need them.
        in_pipeline = self.connection.pgconn.pipeline_status != PipelineStatus.OFF
        for statement in statements if in_pipeline else ("; ".join(statements),):
            psycopg.Cursor(self.connection).execute(statement)


class _GuardedConnection(psycopg.Connection[Row]):
    """What a driver's connection is while a tenant uses it."""

    guard: TenantGuard

    def commit(self) -> None:
        with self.guard.lock:
            self.guard.end("COMMIT")
            super().commit()

    def rollback(self) -> None:
        with self.guard.lock:
            self.guard.end("ROLLBACK")
            super().rollback()

    def tpc_begin(self, xid: psycopg.Xid | str) -> None:
        self.guard.begin()
        super().tpc_begin(xid)

    @contextmanager
    def transaction(self, *args: Any, **how: Any) -> Iterator[psycopg.Transaction]:
        is_outer = self.info.transaction_status == TransactionStatus.IDLE
        self.guard.begin()
        with super().transaction(*args, **how) as transaction:
            end = "ROLLBACK"
            try:
                yield transaction
                end = "ROLLBACK" if transaction.force_rollback else "COMMIT"
            finally:
                if is_outer:
                    self.guard.end(end)


class _GuardedCursor(psycopg.Cursor[Row]):
    def __init__(self, guard: TenantGuard, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self._guard = guard

    def execute(self, query: Any, params: Params | None = None, **how: Any) -> Any:
        with self._guard.lock:
            self._guard.before(query)
            return super().execute(query, params, **how)

    def executemany(self, query: Any, *args: Any, **how: Any) -> None:
        with self._guard.lock:
            self._guard.before(query)
            super().executemany(query, *args, **how)

    def stream(self, query: Any, *args: Any, **how: Any) -> Iterator[Row]:
        self._guard.before(query)
        yield from super().stream(query, *args, **how)

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
        with self._guard.lock:
            self._guard.before(query, stays=self.withhold)
            return super().execute(query, params, **how)

    def close(self) -> None:
        if not self._guard.is_over:  # otherwise the connection may be another tenant's
            super().close()


@event.listens_for(Pool, "reset")
def _unguard(raw: Any, _entry: object, state: PoolResetState) -> None:
    # Runs before others can get the connection.
    if isinstance(raw, _GuardedConnection):
        if not state.terminate_only:
            raw.guard.release()
        cast(Any, raw).__class__ = psycopg.Connection
        raw.cursor_factory = psycopg.Cursor
        raw.server_cursor_factory = psycopg.ServerCursor


def _text(query: Query, raw: psycopg.Connection[Any]) -> str:
    if isinstance(query, bytes):
        return query.decode(errors="replace")
    if isinstance(query, psycopg.sql.Composable):
        return query.as_string(raw)
    return query if isinstance(query, str) else ""  # a template is one statement


@lru_cache(maxsize=1024)
def _effect(query: str) -> _Effect:
    """What a string of statements may do.

    Raises:
        ActionableError: it has several statements, and one of them changes path, role or
        transaction
            for the next (tenant-left-within-string).
    """
    parts = [part.strip(" \t\r\n(") for part in _QUOTED.sub(" ", query).split(";")]
    words = {part.split(None, 1)[0].lower() for part in parts if part}
    sets = bool(_SETS.search(query))
    if len([part for part in parts if part]) > 1 and (sets or not _LEAVING.isdisjoint(words)):
        raise errors.tenant_left_within_string()
    moves = sets or not _PLAIN.issuperset(words)
    ends = _ENDS.match(parts[0])
    return _Effect(
        moves=moves,
        stays=moves or bool(_STAYS.search(query)),
        ends=ends and ("COMMIT" if ends[1] else "ROLLBACK"),
        listens="listen" in words,
    )
