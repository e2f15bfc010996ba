"""After every way of ending a tenant's transaction, the next statement runs in the tenant."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from my_service.database.tenant_session import tenant_session
from my_service.errors import ActionableError
from sqlalchemy.orm import Session

from tenants.sessions import driver, service_engine
from tenants.support import Service, on_cluster

WHO = "SELECT whose, current_schema()::text, current_user::text FROM marks"


def seen_beside_rows(tenant: str) -> str:
    """The current schema, asked beside a tenant's rows: a cluster's worker answers for itself."""
    return "public" if on_cluster() else f"tenant_{tenant}"


def statement(text: str) -> Callable[[Session], object]:
    """An end: a statement through SQLAlchemy."""
    return lambda session: session.connection().exec_driver_sql(text)


def through_the_driver(text: str) -> Callable[[Session], object]:
    """An end: a statement only through the driver."""
    return lambda session: driver(session).execute(text)


def lose_the_connection(session: Session) -> None:
    """An end: the session's connection is another one afterwards."""
    session.connection().invalidate()
    session.connection().rollback()


def fail(session: Session) -> None:
    """An end: an error, and a savepoint from before it."""
    session.execute(sa.text("SAVEPOINT before_it"))
    with pytest.raises(sa.exc.ProgrammingError):
        session.execute(sa.text("SELECT nothing FROM nowhere"))
    driver(session).execute("ROLLBACK TO before_it")


def run_a_transaction_of_the_driver(session: Session) -> None:
    """An end: the driver begins and ends a transaction."""
    driver(session).commit()
    with driver(session).transaction():
        driver(session).execute("SELECT set_config('search_path', 'tenant_t2', false)")


def discard_all(session: Session) -> None:
    """An end: a statement that PostgreSQL allows only outside a transaction."""
    driver(session).commit()
    with suppress(psycopg.Error):
        driver(session).execute("DISCARD ALL")
    driver(session).rollback()


ENDS: dict[str, Callable[[Session], object]] = {
    "session.commit": lambda session: session.commit(),
    "session.rollback": lambda session: session.rollback(),
    "connection.commit": lambda session: session.connection().commit(),
    "connection.rollback": lambda session: session.connection().rollback(),
    "driver.commit": lambda session: driver(session).commit(),
    "driver.rollback": lambda session: driver(session).rollback(),
    "invalidate": lose_the_connection,
    "an error": fail,
    "driver.transaction": run_a_transaction_of_the_driver,
    "DISCARD ALL": discard_all,
    **{
        text: statement(text)
        for text in (
            "COMMIT",
            "ROLLBACK",
            "END",
            "ABORT",
            "/* so */ commit",
            "COMMIT AND CHAIN",
            "ROLLBACK AND CHAIN",
            "SET search_path TO public",
            "SET LOCAL search_path TO tenant_t2",
            "SELECT set_config('search_path', 'tenant_t2', false)",
            "DO $$ BEGIN PERFORM set_config('search_path', 'public', true); END $$",
            "UPDATE pg_settings SET setting = 'tenant_t2' WHERE name = 'search_path'",
            "RESET search_path",
            "RESET ALL",
            "RESET ROLE",
            "SET ROLE NONE",
            "SET SESSION AUTHORIZATION DEFAULT",
            "DISCARD TEMP",
        )
    },
    **{
        f"driver: {text}": through_the_driver(text)
        for text in ("COMMIT", "COMMIT AND CHAIN", "SET search_path TO public", "RESET ALL")
    },
}


def copied(session: Session) -> list[tuple[Any, ...]]:
    """Query by COPY."""
    with driver(session).cursor().copy(f"COPY ({WHO}) TO STDOUT") as copy:
        return list(copy.rows())


def pipelined(session: Session) -> list[tuple[Any, ...]]:
    """Query in a pipeline."""
    with driver(session).pipeline():
        return driver(session).execute(WHO).fetchall()


def from_a_server_cursor(session: Session) -> list[tuple[Any, ...]]:
    """Query by a server-side cursor."""
    with driver(session).cursor("named") as cursor:
        return cursor.execute(WHO).fetchall()


def after_a_rolled_back_block(session: Session) -> list[tuple[Any, ...]]:
    """Query in the driver's transaction, after a savepoint in which the tenant was entered."""
    with driver(session).transaction():
        with driver(session).transaction(force_rollback=True):
            driver(session).execute(WHO)
        return driver(session).execute(WHO).fetchall()


def streamed_late(session: Session) -> list[tuple[Any, ...]]:
    """Query by a stream that begins after the transaction in which it was asked for."""
    driver(session).execute(WHO)
    rows = driver(session).cursor().stream(WHO)
    driver(session).commit()
    return list(rows)


QUERIES: dict[str, Callable[[Session], Any]] = {
    "session": lambda session: session.execute(sa.text(WHO)).all(),
    "driver SQL": lambda session: session.connection().exec_driver_sql(WHO).all(),
    "driver": lambda session: driver(session).execute(WHO).fetchall(),
    "stream": lambda session: list(driver(session).cursor().stream(WHO)),
    "server cursor": from_a_server_cursor,
    "copy": copied,
    "pipeline": pipelined,
    "driver.transaction": after_a_rolled_back_block,
    "late stream": streamed_late,
}


def prepare(service: Service, *, role: bool, tenants: int = 2) -> None:
    """Give every tenant, and public, a table with its name."""
    if role:
        service.roles()
    service.add('op.create_table("marks", sa.Column("whose", sa.Text))', schemas="all")
    names = [f"t{n}" for n in range(1, tenants + 1)]
    service.make(*names)
    for schema in ("public", *(f"tenant_{name}" for name in names)):
        service.ask(f"INSERT INTO {schema}.marks VALUES ('{schema.removeprefix('tenant_')}')")


@pytest.mark.parametrize("role", [False, True], ids=["no roles", "roles"])
@pytest.mark.parametrize("through", ["direct", "pooler", "pooler of one"])
def test_after_each_end_of_a_transaction_the_next_statement_runs_in_the_tenant(
    service: Service, tmp_path: Path, through: str, role: bool
) -> None:
    prepare(service, role=role)
    user = "tenant_t1" if role else service.ask("SELECT current_user::text")[0][0]
    schema, wrong = seen_beside_rows("t1"), []
    with service_engine(service, through, tmp_path) as engine:
        for name, end in ENDS.items():
            for query, ask in QUERIES.items():
                if name == "invalidate" and "driver" in ask.__code__.co_names:
                    continue  # the new connection becomes the session's with its first statement
                with tenant_session(engine, "t1", role=role) as session:
                    assert ask(session) == [("t1", schema, user)], query
                    end(session)
                    if (rows := ask(session)) != [("t1", schema, user)]:
                        wrong.append((name, query, rows))
    assert wrong == []


@pytest.mark.parametrize("through", ["direct", "pooler of one"])
def test_autocommit_and_strings_of_several_statements_are_refused(
    service: Service, tmp_path: Path, through: str
) -> None:
    prepare(service, role=False)
    with service_engine(service, through, tmp_path) as engine:
        with tenant_session(engine, "t1") as session:
            session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
            with pytest.raises(ActionableError, match="autocommit"):
                session.execute(sa.text(WHO))
        for several in (
            f"COMMIT; {WHO}",
            f"SELECT 1; -- ;\n SET search_path TO public; {WHO}",
            f"SELECT E'\\''; ROLLBACK; {WHO}; SELECT ''",
            f"SELECT set_config('search_path', 'public', true); {WHO}",
        ):
            for execute in (
                lambda session, sql: session.connection().exec_driver_sql(sql),
                lambda session, sql: driver(session).execute(sql),
                lambda session, sql: driver(session).execute(sql.encode()),
                lambda session, sql: driver(session).execute(psycopg.sql.SQL(sql)),
            ):
                with (
                    tenant_session(engine, "t1") as session,
                    pytest.raises(ActionableError, match="several statements"),
                ):
                    execute(session, several)
        with tenant_session(engine, "t1") as session:  # these leave nothing
            connection = session.connection()
            connection.exec_driver_sql("SELECT 'a; COMMIT; b'; /* ; COMMIT; */ SELECT 2;")
            assert [row.whose for row in session.execute(sa.text(WHO))] == ["t1"]


def test_threads_that_share_a_connection_stay_in_the_tenant(service: Service) -> None:
    prepare(service, role=False)
    with tenant_session(service.engine, "t1") as session:
        shared = driver(session)

        def ask(thread: int) -> set[str]:
            seen = set()
            for _ in range(50):
                seen |= {row[0] for row in shared.execute(WHO).fetchall()}
                if thread:
                    shared.commit()
            return seen

        with ThreadPoolExecutor(3) as pool:
            assert list(pool.map(ask, range(3))) == [{"t1"}] * 3


def test_a_statement_that_bypasses_the_guard_finds_no_table(
    service: Service, tmp_path: Path
) -> None:
    prepare(service, role=False)

    def query_unguarded(engine: sa.Engine) -> None:
        with tenant_session(engine, "t1") as session:
            raw = driver(session)
            with raw.transaction(), pytest.raises(psycopg.errors.UndefinedTable):
                psycopg.Cursor(raw).execute(WHO)

    query_unguarded(service.engine)
    user, database = service.ask("SELECT current_user::text, current_database()::text")[0]
    with service_engine(service, "pooler of one", tmp_path) as engine:
        # Here the service cannot set the path itself; its warning contains the statement.
        service.ask(f"ALTER ROLE {user} IN DATABASE {database} SET search_path = no_tenant")
        with engine.connect() as connection, pytest.raises(sa.exc.OperationalError):
            connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
        query_unguarded(engine)


def test_a_registry_row_that_names_another_schema_is_refused(service: Service) -> None:
    prepare(service, role=False)
    service.ask("ALTER TABLE public.tenants DROP CONSTRAINT IF EXISTS tenants_schema_of_id_check")
    service.ask("UPDATE public.tenants SET schema_name = 'public' WHERE id = 't1'")
    with (
        tenant_session(service.engine, "t1") as session,
        pytest.raises(ActionableError, match="no tenant"),
    ):
        session.execute(sa.text(WHO))


@pytest.mark.filterwarnings("ignore:transaction already deassociated")
@pytest.mark.parametrize(
    ("through", "role"),
    [
        ("direct", False),
        ("pooler", True),
        ("pooler in turn", False),
        ("pooler of one", False),
    ],
)
def test_under_parallel_traffic_no_session_sees_another_tenants_rows(
    service: Service, tmp_path: Path, through: str, role: bool
) -> None:
    tenants, threads, rounds = 8, 8, 25
    prepare(service, role=role, tenants=tenants)

    def hammer(seed: int) -> int:
        chance, seen = random.Random(seed), 0
        for _ in range(rounds):
            tenant = f"t{chance.randrange(tenants) + 1}"
            with tenant_session(engine, tenant, role=role) as session:
                for _ in range(chance.randrange(1, 5)):
                    try:
                        ENDS[chance.choice(list(ENDS))](session)
                    except sa.exc.InvalidRequestError:
                        break  # SQLAlchemy noticed that its transaction had ended
                    assert session.scalar(sa.text("SELECT current_schema()")) == f"tenant_{tenant}"
                    rows = QUERIES[chance.choice(list(QUERIES))](session)
                    assert [row[:2] for row in rows] == [(tenant, seen_beside_rows(tenant))]
                    seen += 1
        return seen

    with (
        service_engine(service, through, tmp_path) as engine,
        ThreadPoolExecutor(threads) as pool,
    ):
        assert sum(pool.map(hammer, range(threads))) > threads * rounds
