"""No session sees another tenant's rows, on any pool, through PgBouncer, or by asking for them."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from my_service.database.tenant_session import tenant_session
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.orm import Session

from engine.pooler import pgbouncer
from tenants.support import Service

TENANTS = tuple(f"t{n:02}" for n in range(20))
THREADS, ROUNDS = 8, 25


def limited(address: str, size: int) -> sa.Engine:
    """An engine with this number of connections, otherwise as in the service."""
    return sa.create_engine(
        address,
        pool_size=size,
        max_overflow=0,
        pool_timeout=300,
        connect_args={"prepare_threshold": None},
    )


def prepare(service: Service) -> None:
    """Give every tenant a table with its name."""
    service.add('op.create_table("marks", sa.Column("whose", sa.Text), sa.Column("n", sa.Integer))')
    service.make(*TENANTS)


def hammer(engine: sa.Engine, seed: int, *, role: bool = False) -> int:
    """Random transactions of random tenants; return the number of rows read."""
    chance, seen = random.Random(seed), 0

    def check(session: Session, tenant: str) -> int:
        schema = session.scalar(sa.text("SELECT current_schema()"))
        assert schema == f"tenant_{tenant}"
        whose = list(session.scalars(sa.text("SELECT whose FROM marks")))
        assert set(whose) <= {tenant}
        return len(whose)

    for _ in range(ROUNDS):
        tenant = chance.choice(TENANTS)
        with tenant_session(engine, tenant, role=role) as session:
            for _ in range(chance.randrange(1, 4)):
                session.execute(sa.text("INSERT INTO marks VALUES (:t, 1)"), {"t": tenant})
                act = chance.randrange(5)
                if act == 0:
                    session.commit()
                elif act == 1:
                    session.rollback()
                elif act == 2:
                    with pytest.raises(ProgrammingError):
                        session.execute(sa.text("SELECT nothing FROM nowhere"))
                    session.rollback()
                elif act == 3:
                    savepoint = session.begin_nested()
                    session.execute(sa.text("SET LOCAL search_path TO public"))
                    savepoint.rollback()
                else:
                    with pytest.raises(IntegrityError), session.begin_nested():
                        session.execute(sa.text("INSERT INTO users (email) VALUES ('x')"))
                seen += check(session, tenant)
            if chance.randrange(2):
                session.commit()
    return seen


def paths(engine: sa.Engine) -> set[str]:
    """The search paths of idle connections."""
    found = set()
    for _ in range(3):
        with engine.connect() as connection:
            found.add(str(connection.scalar(sa.text("SHOW search_path"))))
    return found


def race(engine: sa.Engine, *, role: bool = False) -> None:
    """Run many threads at once."""
    with ThreadPoolExecutor(THREADS) as threads:
        seen = list(threads.map(lambda seed: hammer(engine, seed, role=role), range(THREADS)))
    assert sum(seen) > 50
    assert paths(engine) == {'"$user", public'}
    engine.dispose()


@pytest.mark.parametrize("size", [1, 10])
def test_no_session_sees_another_tenants_rows(service: Service, size: int) -> None:
    prepare(service)
    race(limited(service.engine.url.render_as_string(hide_password=False), size))


def test_no_session_sees_other_rows_through_pgbouncer_with_one_connection(
    service: Service, tmp_path: Path
) -> None:
    prepare(service)
    direct = service.engine.url.render_as_string(hide_password=False)
    service.engine.dispose()
    with pgbouncer(direct, tmp_path, connections=1) as address:
        race(limited(address, 10))


@pytest.mark.parametrize("by", ["superuser", "ordinary user"])
def test_with_roles_postgresql_denies_access_to_another_tenants_rows(
    service: Service, by: str
) -> None:
    service.roles()
    if by == "ordinary user":
        service.ordinary_user()
    prepare(service)
    owners = service.ask(
        "SELECT DISTINCT nspname = pg_get_userbyid(nspowner), rolcanlogin FROM pg_namespace"
        " JOIN pg_roles r ON r.oid = nspowner WHERE nspname LIKE 'tenant%%'"
    )
    assert owners == [(True, False)]
    tables = service.ask(
        "SELECT DISTINCT tableowner = schemaname FROM pg_tables WHERE schemaname LIKE 'tenant%%'"
    )
    assert tables == [(True,)]
    with tenant_session(service.engine, "t01", role=True) as session:
        session.execute(sa.text("INSERT INTO marks VALUES ('t01', 1)"))
        session.commit()
        for forbidden in ("tenant_t02.users", "public.tenants"):
            with pytest.raises(ProgrammingError, match="permission denied"):
                session.execute(sa.text(f"SELECT * FROM {forbidden}"))
            session.rollback()
        with session.begin_nested():
            assert session.scalar(sa.text("SELECT current_user")) == "tenant_t01"
    race(limited(service.engine.url.render_as_string(hide_password=False), 3), role=True)
    service.add(
        'op.add_column("marks", sa.Column("more", sa.Text))', 'op.drop_column("marks", "more")'
    )
    assert service.all().success
    assert service.command("tenant audit") == (0, "Registry and schemas agree\n", "")
    for tenant in TENANTS:
        assert service.command(f"tenant drop {tenant} --yes")[0] == 0
    assert service.ask("SELECT 1 FROM pg_roles WHERE rolname LIKE 'tenant\\_t%%'") == []
    service.engine.dispose()


def test_a_connection_of_requests_is_replaced_after_tenants_per_connection(
    service: Service,
) -> None:
    prepare(service)
    engine = limited(service.engine.url.render_as_string(hide_password=False), 1)
    pids: list[int] = []
    for tenant in TENANTS[:6]:
        for _ in range(2):
            with tenant_session(engine, tenant, tenants_per_connection=2) as session:
                pids.append(session.scalar(sa.text("SELECT pg_backend_pid()")) or 0)
    engine.dispose()
    assert len(set(pids)) == 6  # each tenant after the first gets a new one, its second time
