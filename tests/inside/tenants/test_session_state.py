"""Nobody sees what another tenant left on a connection."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from my_service.database.tenant_session import tenant_session
from my_service.errors import ActionableError
from sqlalchemy.orm import Session

from tenants.sessions import driver, service_engine
from tenants.support import Service

# By kind of state: a statement of one tenant, and a query that would show its effect to another.
STATES = {
    "temporary table": (
        "CREATE TEMPORARY TABLE secrets AS SELECT 1",
        "SELECT count(*) FROM pg_class WHERE relname = 'secrets'",
    ),
    "temporary table of a query": (
        "SELECT 1 AS n INTO TEMPORARY found",
        "SELECT count(*) FROM pg_class WHERE relname = 'found'",
    ),
    "temporary table that hides users": (
        "CREATE TEMPORARY TABLE users (email text)",
        "SELECT count(*) FROM pg_class WHERE relname = 'users' AND relpersistence = 't'",
    ),
    "cursor": (
        "DECLARE secret CURSOR WITH HOLD FOR SELECT 1",
        "SELECT count(*) FROM pg_cursors WHERE is_holdable",
    ),
    "setting": (
        "SET app.secret = '1'",
        "SELECT count(*) FROM (SELECT nullif(current_setting('app.secret', true), '') AS v) s"
        " WHERE v IS NOT NULL",
    ),
    "setting by a function": (
        "SELECT set_config('app.other', '1', false)",
        "SELECT count(*) FROM (SELECT nullif(current_setting('app.other', true), '') AS v) s"
        " WHERE v IS NOT NULL",
    ),
    "prepared statement": (
        "PREPARE secret AS SELECT 1",
        "SELECT count(*) FROM pg_prepared_statements",
    ),
    "channel": ("LISTEN secret", "SELECT count(*) FROM pg_listening_channels()"),
    "advisory lock": (
        "SELECT pg_advisory_lock(4711)",
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711"
        " AND pid = pg_backend_pid()",
    ),
    "path": (
        "SET search_path TO tenant_t1",
        "SELECT count(*) FROM pg_settings WHERE name = 'search_path' AND setting = 'tenant_t1'",
    ),
    "role": (
        "SET ROLE pg_monitor",
        "SELECT count(*) FROM (SELECT 1) s WHERE current_user = 'pg_monitor'",
    ),
}
LASTVAL = "SELECT nextval('numbers')"


def change_state(session: Session, kind: str, end: str) -> None:
    """Change the state of a session, and end the transaction."""
    if end == "end of a block":
        driver(session).commit()
        with driver(session).transaction():
            driver(session).execute(STATES[kind][0])
        return
    session.connection().exec_driver_sql(STATES[kind][0])
    if end == "commit":
        session.commit()
    elif end == "raw COMMIT":
        session.connection().exec_driver_sql("COMMIT")
    elif end == "rollback":
        session.rollback()
    else:
        driver(session).commit()


@pytest.mark.parametrize("through", ["direct", "pooler of one"])
def test_a_tenant_sees_no_session_state_of_another(
    service: Service, tmp_path: Path, through: str
) -> None:
    service.add('op.execute(sa.schema.CreateSequence(sa.Sequence("numbers")))')
    service.make("t1", "t2")
    found: list[tuple[str, ...]] = []
    with service_engine(service, through, tmp_path) as engine:
        for kind, (_, question) in STATES.items():
            for end in ("commit", "raw COMMIT", "driver.commit"):
                with tenant_session(engine, "t1") as session:
                    if (kind, through) == ("channel", "pooler of one"):
                        with pytest.raises(ActionableError, match="LISTEN"):
                            change_state(session, kind, end)
                    else:
                        change_state(session, kind, end)
                with tenant_session(engine, "t2") as session:
                    if session.scalar(sa.text(question)):
                        found.append((kind, end))
                    session.commit()
                    if session.scalar(sa.text(question)):
                        found.append((kind, end, "in the next transaction"))
        with tenant_session(engine, "t1") as session:
            session.execute(sa.text(LASTVAL))
            session.commit()
        with (
            tenant_session(engine, "t2") as session,
            pytest.raises(sa.exc.OperationalError, match="lastval is not yet defined"),
        ):
            session.execute(sa.text("SELECT lastval()"))
    assert found == []


@pytest.mark.parametrize("through", ["direct", "pooler of one"])
def test_a_pooled_connection_has_no_session_state_of_a_tenant(
    service: Service, tmp_path: Path, through: str
) -> None:
    service.make("t1")
    found = []
    with service_engine(service, through, tmp_path) as engine:
        for kind, (_, question) in STATES.items():
            if (kind, through) == ("channel", "pooler of one"):
                continue
            for end in ("commit", "raw COMMIT", "driver.commit", "end of a block", "rollback"):
                with tenant_session(engine, "t1") as session:
                    change_state(session, kind, end)
                for _ in range(3):
                    with engine.connect() as connection:
                        if connection.scalar(sa.text(question)):
                            found.append((kind, end))
    assert found == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it stays open
def test_a_cursor_that_survives_its_transaction_is_nobody_elses(
    service: Service, tmp_path: Path
) -> None:
    service.make("t1", "t2")
    with service_engine(service, "pooler of one", tmp_path) as engine:
        with tenant_session(engine, "t1") as session:
            driver(session).cursor("secret", withhold=True).execute("SELECT 1")
            session.commit()
        with (
            tenant_session(engine, "t2") as session,
            pytest.raises(psycopg.errors.InvalidCursorName),
        ):
            driver(session).cursor("secret").fetchall()


def test_a_cursor_ends_with_its_session(service: Service) -> None:
    service.make("t1", "t2")
    with tenant_session(service.engine, "t1") as session:
        kept = driver(session).cursor()
    with tenant_session(service.engine, "t2") as session:
        session.execute(sa.text("SELECT 1"))
        with pytest.raises(ActionableError, match="after its session had ended"):
            kept.execute("SELECT 1")


class Garbage:
    """Calls a function when it is collected."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.call = call

    def __del__(self) -> None:
        """Do it."""
        self.call()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it stays open
def test_a_streams_session_that_is_garbage_returns_its_connection_once(service: Service) -> None:
    service.make("t1", "t2", "t3")
    with ExitStack() as sessions:

        def ask(tenant: str) -> object:
            session = sessions.enter_context(tenant_session(service.engine, tenant))
            assert session.scalar(sa.text("SELECT current_schema()")) == f"tenant_{tenant}"
            return driver(session)

        def stream() -> Iterator[int]:
            with tenant_session(service.engine, "t1") as session:
                numbers = sa.text("SELECT n FROM generate_series(1, 9) n")
                yield from session.scalars(numbers, execution_options={"yield_per": 2})

        used: list[object] = []
        # Collected in this order: the first finds the connection back in the pool.
        garbage: list[object] = [Garbage(lambda: used.append(ask("t2"))), stream()]
        garbage.append(garbage)
        next(garbage[1])  # type: ignore[call-overload]
        del garbage
        gc.collect()
        assert used
        assert ask("t3") is not used[0]


@pytest.mark.parametrize("through", ["direct", "pooler of one"])
def test_what_was_set_on_the_drivers_connection_ends_with_the_session(
    service: Service, tmp_path: Path, through: str
) -> None:
    service.make("t1", "t2")
    with service_engine(service, through, tmp_path) as engine:
        with tenant_session(engine, "t1") as session:
            raw = driver(session)
            raw.rollback()
            raw.read_only = raw.deferrable = raw.autocommit = True
            raw.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
            raw.row_factory = psycopg.rows.dict_row
        with tenant_session(engine, "t2") as session:
            assert driver(session) is raw
            assert driver(session).execute("SHOW transaction_isolation").fetchall() == [
                ("read committed",)
            ]
            driver(session).execute("CREATE TABLE made (n integer)")


def test_a_table_of_the_tenant_has_priority_over_a_temporary_one(service: Service) -> None:
    # Left out of the path, pg_temp would be searched first.
    service.make("t1")
    with tenant_session(service.engine, "t1") as session:
        session.execute(sa.text("CREATE TEMPORARY TABLE users (email text)"))
        is_tenants_table = sa.text("SELECT 'users'::regclass = 'tenant_t1.users'::regclass")
        assert session.scalar(is_tenants_table)
        assert session.scalar(sa.text("SHOW search_path")) == "tenant_t1, pg_temp"


def test_a_new_connection_detects_a_pooler(service: Service, tmp_path: Path) -> None:
    for through, is_pooled in (("direct", False), ("pooler of one", True)):
        with service_engine(service, through, tmp_path) as engine, engine.connect() as connection:
            assert connection.info["is_pooled"] is is_pooled
