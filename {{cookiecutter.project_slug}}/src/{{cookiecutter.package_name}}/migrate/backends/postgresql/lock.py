"""The migration lock on PostgreSQL: an advisory transaction lock."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC
from select import select as wait_for
from typing import Any
from zlib import crc32

import psycopg
from sqlalchemy import Connection, Engine, Executable, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from ...config import MigrationConfig
from ...errors import lock_timeout
from ...results import LockHolder
from ..common import bare, driver_connection, my_name
from . import errors
from .connection import connect_apart, explain, reading

# Any number works, if every version of the service uses the same.
ADVISORY_KEY = 1835624306
SECOND_CONNECTION_SECONDS = 10.0
POLL_SECONDS = 0.1


def advisory_key(scope: str) -> tuple[int, int]:
    """The two numbers of the advisory lock for a scope."""
    return ADVISORY_KEY, crc32(scope.encode()) & 0x7FFFFFFF


GATE_KEY = advisory_key("gate of contracts")


@contextmanager
def registering(engine: Engine, config: MigrationConfig) -> Iterator[Connection]:
    """A transaction during which no contract begins. It waits for a running one.

    Raises:
        ActionableError: lock-timeout.
    """
    deadline = time.monotonic() + config.lock_timeout
    while True:
        with bare(engine).connect() as connection, connection.begin():
            if connection.scalar(select(func.pg_try_advisory_xact_lock_shared(*GATE_KEY))):
                config.scope.enter(connection)
                yield connection
                return
        if time.monotonic() > deadline:
            raise lock_timeout("a running contract or restore", config.lock_timeout)
        time.sleep(POLL_SECONDS)


class Lock:
    """An advisory transaction lock on a separate connection.

    It is tried repeatedly, never waited for: a session that waits inside ``pg_advisory_lock`` holds
    a snapshot, for which CREATE INDEX CONCURRENTLY waits. A SELECT has one for a moment; if an index
    meets it, it waits until the whole transaction ends. So the holder executes only SHOW and SET,
    which have none. The lock belongs to a transaction, so it also works through PgBouncer in
    transaction mode, and ends when its process dies.

    Args:
        scope: the name of the scope; "" is the database.
    """

    def __init__(self, engine: Engine, scope: str = "") -> None:
        self._engine = engine
        self._key = advisory_key(scope)
        self._session: Connection | None = None

    def acquire(self) -> bool:
        try:
            return self._try()
        except SQLAlchemyError as error:
            raise explain(self._engine, error) from error

    def _try(self) -> bool:
        if self._session is None:
            self._session = connect_apart(self._engine)
        first, second = self._key
        taken, pid, _ = self._session.execute(
            select(
                func.pg_try_advisory_xact_lock(first, second),
                func.pg_backend_pid(),
                func.set_config("application_name", my_name(), True),
            )
        ).one()
        if not taken:
            self._session.rollback()
            return False
        if pid != driver_connection(self._session).info.backend_pid:
            _check_second_connection(self._engine)
        # The transaction stays idle while the migrations run.
        limits = ["idle_in_transaction_session_timeout", "transaction_timeout"]  # the second: 17
        version = self._session.dialect.server_version_info or (0,)
        for limit in limits if version >= (17,) else limits[:1]:
            self._session.exec_driver_sql(f"SET LOCAL {limit} = 0")
        return True

    def close_gate(self) -> bool:
        return bool(self._ask(select(func.pg_try_advisory_xact_lock(*GATE_KEY))))

    def release(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            with suppress(SQLAlchemyError):  # the session may have ended already
                session.rollback()
            session.invalidate()
            session.close()

    def verify(self) -> None:
        self._ask(text("SHOW transaction_isolation"))

    def _ask(self, query: Executable) -> Any:
        assert self._session is not None
        try:
            return self._session.scalar(query)
        except SQLAlchemyError as error:
            raise errors.lock_lost() from error

    def holder(self) -> LockHolder | None:
        with reading(self._engine) as connection:
            row = connection.execute(
                text(
                    "SELECT pid, application_name, xact_start FROM pg_locks"
                    " JOIN pg_stat_activity USING (pid)"
                    " WHERE locktype = 'advisory' AND granted"
                    " AND classid = :first AND objid = :second AND objsubid = 2"
                    " AND datname = current_database()"
                ),
                {"first": self._key[0], "second": self._key[1]},
            ).first()
        if row is None:
            return None
        # For another role's session the database shows the name, but not the start time.
        return LockHolder(row[0], row[1], row[2] and row[2].astimezone(UTC))

    def end_holder(self) -> LockHolder | None:
        holder = self.holder()
        if holder is not None:
            # The lock and the statements have two sessions; both have its name.
            with reading(self._engine) as connection:
                connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                        " WHERE pid = :pid OR application_name = :name"
                        " AND datname = current_database()"
                    ),
                    {"pid": holder.process, "name": holder.name},
                )
        return holder


def _check_second_connection(engine: Engine) -> None:
    """Refuse a pooler that has no second connection in addition to the lock's.

    Raises:
        ActionableError: pooler-too-small.
    """
    arguments, options = engine.dialect.create_connect_args(engine.url)
    with closing(psycopg.connect(*arguments, **options)) as raw:
        raw.pgconn.send_query(b"SELECT 1")
        answered, _, _ = wait_for([raw.pgconn.socket], [], [], SECOND_CONNECTION_SECONDS)
        if not answered:
            raise errors.pooler_too_small(SECOND_CONNECTION_SECONDS)
