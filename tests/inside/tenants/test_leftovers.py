"""Nobody sees what another tenant left on a connection."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from my_service.database.tenant_session import tenant_session
from my_service.errors import ActionableError
from sqlalchemy.orm import Session

from tenants.support import Service
from tenants.test_leaving import driver, service_engine

# A statement of one tenant, and a query that would show its effect to another.
LEFTOVERS = {
    "temporary table": (
        "CREATE TEMPORARY TABLE secrets AS SELECT 1",
        "SELECT count(*) FROM pg_class WHERE relname = 'secrets'",
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


def leave(session: Session, what: str, end: str) -> None:
    """Leave something on the connection of a session."""
    session.connection().exec_driver_sql(LEFTOVERS[what][0])
    if end == "commit":
        session.commit()
    elif end == "raw COMMIT":
        session.connection().exec_driver_sql("COMMIT")
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
        for what, (_, question) in LEFTOVERS.items():
            for end in ("commit", "raw COMMIT", "driver.commit"):
                with tenant_session(engine, "t1") as session:
                    if (what, through) == ("channel", "pooler of one"):
                        with pytest.raises(ActionableError, match="LISTEN"):
                            leave(session, what, end)
                    else:
                        leave(session, what, end)
                with tenant_session(engine, "t2") as session:
                    if session.scalar(sa.text(question)):
                        found.append((what, end))
                    session.commit()
                    if session.scalar(sa.text(question)):
                        found.append((what, end, "in the next transaction"))
        with tenant_session(engine, "t1") as session:
            session.execute(sa.text(LASTVAL))
            session.commit()
        with (
            tenant_session(engine, "t2") as session,
            pytest.raises(sa.exc.OperationalError, match="lastval is not yet defined"),
        ):
            session.execute(sa.text("SELECT lastval()"))
    assert found == []


def test_a_pooled_connection_has_no_session_state_of_a_tenant(service: Service) -> None:
    service.make("t1")
    found = []
    for what, (_, question) in LEFTOVERS.items():
        with tenant_session(service.engine, "t1") as session:
            leave(session, what, "commit")
        for _ in range(3):
            with service.engine.connect() as connection:
                if connection.scalar(sa.text(question)):
                    found.append(what)
    assert found == []


def test_a_table_of_the_tenant_has_priority_over_a_temporary_one(service: Service) -> None:
    # Left out of the path, pg_temp would be searched first.
    service.make("t1")
    with tenant_session(service.engine, "t1") as session:
        session.execute(sa.text("CREATE TEMPORARY TABLE users (email text)"))
        own = sa.text("SELECT 'users'::regclass = 'tenant_t1.users'::regclass")
        assert session.scalar(own)
        assert session.scalar(sa.text("SHOW search_path")) == "tenant_t1, pg_temp"


def test_a_new_connection_detects_a_pooler(service: Service, tmp_path: Path) -> None:
    for through, is_pooled in (("direct", False), ("pooler of one", True)):
        with service_engine(service, through, tmp_path) as engine, engine.connect() as connection:
            assert connection.info["is_pooled"] is is_pooled
