"""Tenants are created, listed, audited and removed, also if a process dies meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from my_service.app import create_app
from my_service.database.backend import connect
from my_service.database.tenant_session import tenant_session
from my_service.migrate import (
    AllTenantsResult,
    Observer,
    audit_tenants,
    drop_tenant,
    run_all_tenant_migrations,
    run_tenant_migrations,
)
from my_service.migrate.backends.postgresql import lock as lock_module
from my_service.migrate.backends.postgresql.lock import Lock
from my_service.migrate.lock import migration_lock
from my_service.migrate.tenants import creation_lock, drop, scope
from my_service.migrations import target
from my_service.settings import Settings, load_settings
from my_service.startup import start_database
from processes import Process

from engine.pooler import pgbouncer
from tenants.support import (
    Service,
    dies_at,
    make_tenant,
    on_cluster,
    on_one_machine,
    user_of,
)

STRIDE = int(os.environ.get("TENANTS_STRIDE", "6"))  # 1: die before every single statement
CONCURRENTLY = (
    'op.create_index("late", "users", ["name"], postgresql_concurrently=True, if_not_exists=True)'
)


@pytest.mark.parametrize(
    "tenant", ["", "a-b", "A", "é", "a\n", "a" * 57, "admin", "public", 'a"; DROP TABLE x', "../a"]
)
def test_an_invalid_tenant_id_is_refused(service: Service, tenant: str) -> None:
    service.all()
    error = service.one(tenant).error
    assert error is not None and "cannot be the id of a tenant" in error.problem
    assert service.statuses() == {}


def test_a_tenant_id_can_have_56_characters(service: Service) -> None:
    service.all()
    assert service.one("a" * 56).created


def test_four_processes_create_one_tenant_and_three_report_that_it_exists(service: Service) -> None:
    service.all()
    four = [service.start("tenant", "create", "acme") for _ in range(4)]
    ended = [process.finish() for process in four]
    assert [code for code, _, _ in ended] == [0] * 4
    outputs = sorted(out for _, out, _ in ended)
    assert outputs == ["Created tenant acme\n"] + ["Tenant acme already exists\n"] * 3
    assert service.statuses() == {"acme": ("ready", "003")}


@pytest.mark.parametrize("alone", [False, True], ids=["one transaction", "several"])
def test_creating_a_tenant_can_be_continued_after_a_kill_at_any_statement(
    service: Service, alone: bool
) -> None:
    if alone:
        service.add(CONCURRENTLY, extra="transaction = False")
    service.all()

    def make() -> None:
        engine = connect(load_settings(serving=False))
        run_tenant_migrations(engine, "acme", config=service.config)

    service.engine.dispose()
    point = 1
    while dies_at(point, make):
        status = service.statuses().get("acme")
        exists = service.ask("SELECT 1 FROM pg_namespace WHERE nspname = 'tenant_acme'")
        if not alone:
            assert (status is None and not exists) or (status == ("ready", "002") and exists)
        elif status is not None:
            assert exists and (status[0] == "provisioning" or status == ("ready", "003"))
            assert service.one("acme").success
            assert service.statuses()["acme"] == ("ready", "003")
            assert not audit_tenants(service.engine)
            drop_tenant(service.engine, "acme", config=service.config)
        service.engine.dispose()
        point += STRIDE
    assert point > 5
    assert service.statuses()["acme"][0] == "ready"


def test_dropping_a_tenant_can_be_continued_after_a_kill_at_any_statement(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drop, "CHUNK", 2)
    service.all()

    def remove() -> None:
        drop_tenant(connect(load_settings(serving=False)), "acme", config=service.config)

    point = 1
    while True:
        service.one("acme")
        service.engine.dispose()
        if not dies_at(point, remove):
            break
        if service.statuses()["acme"][0] == "dropping":
            refused = service.one("acme")
            assert refused.error is not None and "is being removed" in refused.error.problem
            assert service.statuses()["acme"][0] == "dropping"
            assert [f.problem for f in audit_tenants(service.engine, repair=True)] == [
                "its removal was interrupted"
            ]
            drop_tenant(service.engine, "acme", config=service.config)
            assert service.statuses() == {}
        point += STRIDE
    assert point > 5
    assert service.statuses() == {}
    assert not service.ask("SELECT 1 FROM pg_namespace WHERE nspname LIKE 'tenant%%'")


LARGE = {
    "partitions": [
        'op.execute("CREATE TABLE parts_of (id bigint PRIMARY KEY)")',
        'op.execute("CREATE TABLE parts (id bigint PRIMARY KEY) PARTITION BY RANGE (id)")',
        "for n in range(600):",
        '    op.execute(f"CREATE TABLE part_{n} PARTITION OF parts'
        ' FOR VALUES FROM ({n}) TO ({n + 1})")',
        'op.execute("ALTER TABLE parts ADD FOREIGN KEY (id) REFERENCES parts_of")',
    ],
    "foreign keys to one table": [
        'op.execute("CREATE TABLE hub (id int PRIMARY KEY)")',
        "for n in range(600):",
        '    op.execute(f"CREATE TABLE spoke_{n} (hub int REFERENCES hub)")',
    ],
    "foreign keys both ways": [
        "for n in range(300):",
        '    op.execute(f"CREATE TABLE left_{n} (id int PRIMARY KEY)")',
        '    op.execute(f"CREATE TABLE right_{n} (id int PRIMARY KEY REFERENCES left_{n})")',
        '    op.execute(f"ALTER TABLE left_{n} ADD FOREIGN KEY (id) REFERENCES right_{n}")',
    ],
    "heirs of one table": [
        'op.execute("CREATE TABLE ancestor (id int)")',
        "for n in range(600):",
        '    op.execute(f"CREATE TABLE heir_{n} (own int) INHERITS (ancestor)")',
    ],
    "functions": [
        "for n in range(1500):",
        '    sql = f"CREATE FUNCTION f_{n}(int) RETURNS int LANGUAGE sql AS $$ SELECT {n} $$"',
        "    op.execute(sql)",
        'op.execute("CREATE PROCEDURE p() LANGUAGE sql AS $$ SELECT 1 $$")',
        'op.execute("CREATE AGGREGATE a(int) (SFUNC = int4pl, STYPE = int)")',
    ],
    "views and types": [
        'op.execute("CREATE TABLE seen (id int)")',
        "for n in range(300):",
        '    op.execute(f"CREATE VIEW view_{n} AS SELECT * FROM '
        "{f'view_{n - 1}' if n % 20 else 'seen'}\")",
        "    op.execute(f\"CREATE TYPE type_{n} AS ENUM ('a')\")",
        'op.execute("CREATE MATERIALIZED VIEW kept AS SELECT * FROM seen")',
        'op.execute("CREATE DOMAIN positive AS int CHECK (VALUE > 0)")',
        'op.execute("CREATE TYPE pair AS (a int, b int)")',
        'op.execute("CREATE TYPE span AS RANGE (subtype = int)")',
        'op.execute("CREATE SEQUENCE numbers")',
    ],
}


@pytest.mark.parametrize("kind", LARGE)
def test_a_large_schema_is_dropped_in_chunks_that_fit_the_lock_table(
    service: Service, kind: str
) -> None:
    service.add(LARGE[kind])
    service.all()
    if not service.one("acme").success and on_cluster():
        pytest.skip("Citus does not make these tables")
    most = 0

    def count(connection: sa.Connection) -> None:
        nonlocal most
        locks = sa.text("SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()")
        most = max(most, connection.scalar(locks) or 0)

    sa.event.listen(service.engine, "commit", count)
    code, _, _ = service.command("tenant drop acme")
    assert code == 1 and service.statuses() != {}
    drop_tenant(service.engine, "acme", config=service.config)
    assert 0 < most < 700
    assert service.statuses() == {}
    assert service.ask("SELECT 1 FROM pg_namespace WHERE nspname = 'tenant_acme'") == []
    assert service.command("tenant drop acme --yes")[0] == 1


def test_a_tenant_that_is_dropped_during_a_run_is_skipped(service: Service) -> None:
    names = [f"t{n}" for n in range(8)]
    service.make(*names)
    service.add('op.add_column("users", sa.Column("nick", sa.Text))')
    totals: list[int] = []

    def drop_some(total: int) -> None:
        totals.append(total)
        if len(totals) == 2:  # after the canaries
            drop_tenant(service.engine, "t5", config=service.config)
            service.ask("UPDATE public.tenants SET status = 'dropping' WHERE id = 't6'")

    service.after_each_tenant(drop_some)
    run = service.all()
    assert run.success
    assert {result.tenant for result in run.tenants} == {*names} - {"t5", "t6"}
    assert totals[0] == 8
    assert service.statuses()["t6"] == ("dropping", "002")


def test_an_audit_during_drops_reports_only_interrupted_drops(service: Service) -> None:
    names = [f"t{n}" for n in range(12)]
    service.make(*names)
    over = threading.Event()
    findings: list[str] = []

    def audit() -> None:
        while not over.is_set():
            findings.extend(finding.problem for finding in audit_tenants(service.engine))

    auditor = threading.Thread(target=audit)
    auditor.start()
    try:
        for name in names:
            drop_tenant(service.engine, name, config=service.config)
    finally:
        over.set()
        auditor.join()
    assert set(findings) <= {"its removal was interrupted"}
    assert service.statuses() == {}


def test_the_lock_holds_no_snapshot_that_blocks_a_concurrent_index(service: Service) -> None:
    service.all()
    executed: list[str] = []
    lock = Lock(service.engine, "tenant_a")
    watch = lambda _c, _cursor, statement, *_: executed.append(statement.split()[0])  # noqa: E731
    sa.event.listen(sa.Engine, "before_cursor_execute", watch)
    try:
        assert lock.acquire()
        lock.verify()
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", watch)
    held = service.ask(
        "SELECT state, backend_xmin, backend_xid FROM pg_stat_activity JOIN pg_locks USING (pid)"
        " WHERE locktype = 'advisory' AND datname = current_database()"
    )
    lock.release()
    assert held == [("idle in transaction", None, None)]
    # A SELECT has a snapshot for a moment. An index that meets it waits for the transaction's end.
    assert executed[0] == "SELECT" and {*executed[1:]} == {"SET", "SHOW"}


@on_one_machine("a creation that pauses keeps a snapshot on a worker, for which an index waits")
@pytest.mark.parametrize("through", ["direct", "pooler", "pooler, but not for migrations"])
def test_a_concurrent_index_does_not_wait_while_a_tenant_is_created(
    service: Service, tmp_path: Path, through: str
) -> None:
    paused, go_on = tmp_path / "paused", tmp_path / "go on"
    service.add(
        [
            'paused, go_on = (Path(PLACE, name) for name in ("paused", "go on"))',
            "while op.get_context().opts['scope'].tenant == 'late' and not go_on.exists():",
            "    paused.touch()",
            "    time.sleep(0.02)",
        ],
        extra=f"import time\nfrom pathlib import Path\nPLACE = {str(tmp_path)!r}",
    )
    service.make("a", "b")
    service.add(CONCURRENTLY, extra="transaction = False")
    direct = service.engine.url.render_as_string(hide_password=False)
    with nullcontext(direct) if through == "direct" else pgbouncer(direct, tmp_path) as address:
        variables = {**os.environ, "DATABASE_URL": address}
        if through.endswith("migrations"):
            variables["MIGRATION_DATABASE_URL"] = direct
        makers = [
            Process(
                make_tenant,
                *(str(service.versions.parent), "late"),
                folder=tmp_path,
                variables=variables,
            )
            for _ in range(2)  # one holds the tenant's lock in a transaction, one tries to get it
        ]
        wait_for(paused.exists)
        service.config = replace(service.config, lock_timeout=1)
        runs: list[AllTenantsResult] = []
        run = threading.Thread(target=lambda: runs.append(service.all()), daemon=True)
        run.start()
        served = serve_until(lambda: not run.is_alive(), address)
        run.join(60)
        waited = run.is_alive()
        go_on.touch()
        ended = [maker.finish() for maker in makers]
        run.join()
    assert not waited and served > 0
    assert {result.tenant for result in runs[0].tenants if result.success} == {"a", "b"}
    if through == "pooler":
        assert all("needs one server session" in error for _, _, error in ended)
        assert all("MIGRATION_DATABASE_URL" in error for _, _, error in ended)
    else:
        assert [code for code, _, _ in ended] == [0, 0]


def serve_until(is_over: Callable[[], bool], address: str) -> int:
    """Serve a tenant's transactions meanwhile, a minute at most; return their number."""
    settings = Settings(_env_file=None, environment="development", database_url=address)
    engine, served, end = connect(settings), 0, time.monotonic() + 60
    while not is_over() and time.monotonic() < end:
        with tenant_session(engine, "a") as session:
            session.execute(sa.text("UPDATE users SET name = 'someone'"))
            session.commit()
        served += 1
    engine.dispose()
    return served


def test_a_start_behind_a_pooler_migrates_on_the_migration_address(
    service: Service, tmp_path: Path
) -> None:
    service.make("a")
    service.add(CONCURRENTLY, extra="transaction = False")
    direct = service.engine.url.render_as_string(hide_password=False)
    with pgbouncer(direct, tmp_path) as behind:
        settings = Settings(
            _env_file=None,
            environment="development",
            database_url=behind,
            migration_database_url=direct,
        )
        start_database(settings).dispose()
    assert service.statuses() == {"a": ("ready", "003")}


def test_administrators_create_and_remove_tenants_as_the_user_who_migrates(
    service: Service,
) -> None:
    key, user = "an administrator's own long key, 0123456789", user_of(service.engine.url.database)
    url = service.engine.url
    service.ask(f"CREATE ROLE {user} LOGIN IN ROLE pg_read_all_data, pg_write_all_data")
    service.ask(f"GRANT CREATE ON SCHEMA public TO {user}")  # for service_instances
    settings = Settings(
        _env_file=None,
        environment="development",
        admin_key=key,
        database_url=url.set(username=user).render_as_string(hide_password=False),
        migration_database_url=url.render_as_string(hide_password=False),
    )
    with TestClient(create_app(settings), headers={"X-Admin-Key": key}) as client:
        assert client.post("/tenants", json={"id": "a"}).status_code == 201
        assert client.delete("/tenants/a").status_code == 204


def test_tenants_created_by_an_older_release_are_migrated(service: Service) -> None:
    service.make("a", "alone", "failed", "late", "later")
    service.add(
        'op.add_column("users", sa.Column("nick", sa.Text))', 'op.drop_column("users", "nick")'
    )
    assert service.all().success
    for tenant in ("alone", "failed", "late", "later"):
        assert service.command(f"migrate rollback --tenant {tenant}")[0] == 0
    # As left by a release that does not check for a newer one.
    late = "UPDATE public.tenants SET status = 'ready' WHERE id IN ('late', 'later')"
    service.ask(late)
    service.ask("UPDATE public.tenants SET status = 'failed' WHERE id = 'failed'")
    (bring_along,) = target.REPEATED.values()
    bring_along(service.engine, service.config)  # another process may still migrate it
    assert service.statuses()["late"] == ("ready", "002")
    service.ask("UPDATE public.tenants SET updated_at = now() - interval '1 minute'")
    with migration_lock(service.engine, 1):
        lock = Lock(service.engine)
        bring_along(service.engine, service.config)
    assert not lock.holder()
    assert service.statuses()["late"] == ("ready", "002")
    bring_along(service.engine, service.config)
    assert service.statuses() == {
        "a": ("ready", "003"),
        "alone": ("behind", "002"),  # rolled back by a person
        "failed": ("failed", "002"),
        "late": ("ready", "003"),
        "later": ("ready", "003"),
    }


def wait_for(happens: Callable[[], bool]) -> None:
    """Wait for a condition, a minute at most."""
    end = time.monotonic() + 60
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_replay_does_not_wait_for_a_tenant_that_another_migrates(service: Service) -> None:
    names = [f"t{n}" for n in range(6)]
    service.make(*names)
    service.config = replace(service.config, lock_timeout=1, table_lock_timeout=60)
    service.add('op.add_column("users", sa.Column("nick", sa.Text))')
    lock = Lock(service.engine, "tenant_t4")
    assert lock.acquire()
    waiting: list[object] = []

    def watch(*_: object) -> None:
        waiting.extend(
            service.ask("SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'advisory'")
        )

    service.after_each_tenant(watch)
    (failed,) = service.all().failed
    lock.release()
    assert failed.tenant == "t4" and failed.error is not None
    assert failed.error.code == "lock-timeout"
    assert waiting == []
    assert service.all().success


def test_public_is_used_even_if_the_user_has_a_schema_of_its_own_name(service: Service) -> None:
    service.ask("CREATE SCHEMA AUTHORIZATION CURRENT_USER")
    service.engine.dispose()
    service.make("a", "b", "c", "d")
    tables = service.ask(
        "SELECT schemaname, count(*) FROM pg_tables WHERE tablename = 'alembic_version'"
        " GROUP BY 1 ORDER BY 1"
    )
    assert tables == [("public", 1), *((f"tenant_{t}", 1) for t in "abcd")]
    assert service.command("migrate status")[0] == 0
    assert service.command("migrate rollback --all")[0] == 1  # there are tenants
    assert service.command("tenant audit")[0] == 0


def test_a_pooler_with_one_connection_is_an_error(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "SECOND_CONNECTION_SECONDS", 1.0)
    direct = service.engine.url.render_as_string(hide_password=False)
    service.engine.dispose()
    with pgbouncer(direct, tmp_path, connections=1) as behind:
        engine = sa.create_engine(behind, connect_args={"prepare_threshold": None})
        run = run_all_tenant_migrations(engine, config=service.config)
        engine.dispose()
    assert run.public.error is not None and run.public.error.code == "pooler-too-small"
    assert service.all().success


def test_an_audit_finds_and_repairs_differences_of_registry_and_schemas(service: Service) -> None:
    service.make("a", "b", "c", "d", "e")
    assert service.command("tenant audit") == (0, "Registry and schemas agree\n", "")
    service.ask("UPDATE public.tenants SET revision = '001' WHERE id = 'a'")
    service.ask("DELETE FROM public.tenants WHERE id = 'b'")
    service.ask("DROP SCHEMA tenant_c CASCADE")
    service.ask("UPDATE tenant_d.alembic_version SET version_num = '001'")
    service.ask('CREATE SCHEMA "tenant_Not One"')
    code, out, _ = service.command("tenant audit --json")
    assert code == 1
    assert [finding["tenant"] for finding in json.loads(out)] == ["Not One", "a", "b", "c", "d"]
    assert service.command("tenant audit --repair")[0] == 0
    assert service.statuses() == {
        "a": ("ready", "002"),
        "b": ("ready", "002"),
        "c": ("failed", "002"),
        "d": ("behind", "001"),
        "e": ("ready", "002"),
    }
    service.ask('DROP SCHEMA "tenant_Not One"')
    code, out, _ = service.command("tenant audit")
    assert code == 1 and "c: its schema is gone" in out
    assert service.command("tenant drop c --yes")[0] == 0
    assert service.command("tenant audit")[:2] == (0, "Registry and schemas agree\n")


def test_a_manually_dropped_schema_is_not_created_again(service: Service) -> None:
    service.make("a", "b", "c", "d")
    service.ask("DROP SCHEMA tenant_c CASCADE")
    service.add('op.add_column("users", sa.Column("nick", sa.Text))')
    (failed,) = service.all().failed
    assert failed.tenant == "c" and failed.error is not None
    assert failed.error.code == "schema-missing"
    alone = service.one("c")
    assert alone.error is not None and alone.error.code == "schema-missing"
    assert service.ask("SELECT count(*) FROM pg_namespace WHERE nspname = 'tenant_c'") == [(0,)]
    assert service.statuses() == dict.fromkeys("abd", ("ready", "003")) | {"c": ("failed", "002")}
    assert service.command("tenant drop c --yes")[0] == 0
    assert service.one("c").created


class Hook(Observer):
    """Calls a function before the body of a tenant's first migration."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.call = call

    def migration_started(self, name: str, *, is_upgrade: bool) -> None:
        """Do it."""
        self.call()


def test_a_tenant_is_not_created_by_a_release_older_than_public(service: Service) -> None:
    service.make("a", "b")
    newer = lambda: service.ask("UPDATE public.alembic_version SET version_num = '003'")  # noqa: E731
    service.config = replace(service.config, observer=Hook(newer))
    result = service.one("late")
    assert result.error is not None and "newer release" in result.error.impact
    assert "late" not in service.statuses()
    assert service.ask("SELECT count(*) FROM pg_namespace WHERE nspname = 'tenant_late'") == [(0,)]


def test_a_run_waits_for_uncommitted_tenants_and_migrates_them(
    service: Service,
) -> None:
    service.make("a", "b")
    newest = service.add('op.add_column("users", sa.Column("nick", sa.Text))')
    text = newest.read_text()
    service.remove(newest)
    service.all()
    committing, go_on = threading.Event(), threading.Event()

    check = creation_lock.check_release

    def check_and_wait(*arguments: Any) -> None:
        check(*arguments)
        committing.set()
        assert go_on.wait(20)

    service.patch.setattr(scope, "check_release", check_and_wait)
    maker = threading.Thread(target=service.one, args=("late",))
    maker.start()
    assert committing.wait(20)
    newest.write_text(text)
    command = [sys.executable, "-c", RUN, str(service.versions.parent)]
    newer = subprocess.Popen(command)
    with pytest.raises(subprocess.TimeoutExpired):
        newer.wait(4)
    go_on.set()
    maker.join()
    assert newer.wait(60) == 0
    assert service.statuses() == dict.fromkeys(("a", "b", "late"), ("ready", "003"))


RUN = """
import sys
from dataclasses import replace
from pathlib import Path
from my_service import migrations
from my_service.database.backend import connect
from my_service.migrate import run_all_tenant_migrations
from my_service.settings import load_settings

config = replace(migrations.config, directory=Path(sys.argv[1]))
run = run_all_tenant_migrations(connect(load_settings(serving=False)), config=config)
sys.exit(0 if run.success else 1)
"""


def test_a_connection_of_replays_is_replaced_after_tenants_per_connection(service: Service) -> None:
    names = [f"t{n}" for n in range(10)]
    service.make(*names)
    service.config = replace(service.config, tenants_per_connection=2)
    service.add('op.add_column("users", sa.Column("nick", sa.Text))')
    opened: list[int] = []
    sa.event.listen(service.engine.pool, "connect", lambda *_: opened.append(1))
    assert service.all().success
    assert len(opened) >= 4  # eight tenants were replayed
