"""PostgreSQL's migration lock: while it waits, while it is held, and when its session is lost."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from my_service.errors import ActionableError
from my_service.migrate.backends import backend
from my_service.migrate.backends.common import MigrationLock

from engine.support import KIND, Database, Folder

pytestmark = pytest.mark.skipif(KIND != "postgresql", reason="this is PostgreSQL's")

OPEN_TRANSACTIONS = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND state = 'idle in transaction'"
)
HOLDERS = (
    "SELECT pg_terminate_backend(pid, 60000) FROM pg_locks"
    " WHERE locktype = 'advisory' AND database ="
    " (SELECT oid FROM pg_database WHERE datname = current_database())"
)


@pytest.fixture
def lock(engine: sa.Engine) -> Iterator[MigrationLock]:
    """The lock, held."""
    lock = backend.Lock(engine)
    assert lock.acquire()
    yield lock
    lock.release()


def test_time_limits_of_the_server_do_not_end_the_lock(engine: sa.Engine) -> None:
    limits = ["idle_in_transaction_session_timeout"]
    with engine.connect() as connection:
        if (connection.dialect.server_version_info or (0,)) >= (17,):
            limits.append("transaction_timeout")
    options = " ".join(f"-c {limit}=1h" for limit in limits)
    limited = sa.create_engine(engine.url.update_query_dict({"options": options}))
    lock = backend.Lock(limited)
    assert lock.acquire()
    for limit in limits:
        assert lock._session.exec_driver_sql(f"SHOW {limit}").scalar() == "0"
    lock.release()
    limited.dispose()


def test_a_process_that_waits_for_the_lock_has_no_open_transaction(
    lock: MigrationLock, engine: sa.Engine, database: Database
) -> None:
    waiting = backend.Lock(engine)
    assert not waiting.acquire()
    assert database.ask(OPEN_TRANSACTIONS) == [(1,)]  # the holder's
    waiting.release()


def test_a_lock_whose_session_was_ended_is_lost(lock: MigrationLock, database: Database) -> None:
    database.ask(HOLDERS)
    for use in (lock.verify, lock.close_gate):
        with pytest.raises(ActionableError) as lost:
            use()
        assert lost.value.code == "lock-lost"


def test_releasing_a_lock_whose_session_was_ended_is_not_an_error(
    engine: sa.Engine, database: Database
) -> None:
    lock = backend.Lock(engine)
    assert lock.acquire()
    database.ask(HOLDERS)
    lock.release()


def test_the_lock_of_a_server_that_does_not_answer_is_an_error(engine: sa.Engine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    away = sa.create_engine(engine.url.set(host="127.0.0.1", port=port, query={}))
    with pytest.raises(ActionableError) as refused:
        backend.Lock(away).acquire()
    assert refused.value.code == "database-away"


def test_an_instance_waits_until_a_contract_has_ended(
    lock: MigrationLock, engine: sa.Engine, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lock.close_gate()
    pauses: list[float] = []

    def end_the_contract(seconds: float) -> None:
        pauses.append(seconds)
        lock.release()

    monkeypatch.setattr("time.sleep", end_the_contract)
    with backend.registering(engine, folder.config(lock_timeout=20)):
        assert len(pauses) == 1
