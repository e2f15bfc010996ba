"""Tenants are made, listed, audited and removed; also when a process dies over it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import sqlalchemy as sa
from my_service.database.backend import connect
from my_service.errors import ActionableError
from my_service.migrate import audit_tenants, drop_tenant, run_tenant_migrations
from my_service.migrate.tenants import drop
from my_service.settings import load_settings

from tenants.support import Service, dies_at

STRIDE = int(os.environ.get("TENANTS_STRIDE", "6"))  # 1: die before every single statement
CONCURRENTLY = (
    'op.create_index("late", "users", ["name"], postgresql_concurrently=True, if_not_exists=True)'
)


@pytest.mark.parametrize(
    "tenant", ["", "a-b", "A", "é", "a\n", "a" * 57, "admin", "public", 'a"; DROP TABLE x', "../a"]
)
def test_what_cannot_be_an_id_is_refused_with_a_sentence(service: Service, tenant: str) -> None:
    service.all()
    with pytest.raises(ActionableError, match="cannot be the id of a tenant"):
        service.one(tenant)
    assert service.stands() == {}


def test_the_longest_id_is_a_tenant(service: Service) -> None:
    service.all()
    assert service.one("a" * 56).created


def test_four_at_once_make_one_tenant_and_get_three_clear_answers(service: Service) -> None:
    service.all()
    code = "from my_service.cli import main; main()"
    command = [sys.executable, "-c", code, "tenant", "create", "acme"]
    four = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = sorted(process.communicate(timeout=60)[0] for process in four)
    assert said == ["Created tenant acme\n"] + ["Tenant acme already exists\n"] * 3
    assert [process.returncode for process in four] == [0] * 4
    assert service.stands() == {"acme": ("ready", "002")}


@pytest.mark.parametrize("alone", [False, True], ids=["one transaction", "several"])
def test_wherever_its_maker_dies_there_is_nothing_or_what_the_next_run_completes(
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
        stand = service.stands().get("acme")
        exists = service.ask("SELECT 1 FROM pg_namespace WHERE nspname = 'tenant_acme'")
        if not alone:
            assert (stand is None and not exists) or (stand == ("ready", "002") and exists)
        elif stand is not None:
            assert exists and (stand[0] == "provisioning" or stand == ("ready", "003"))
            assert service.one("acme").success
            assert service.stands()["acme"] == ("ready", "003")
            assert not audit_tenants(service.engine)
            drop_tenant(service.engine, "acme", config=service.config)
        service.engine.dispose()
        point += STRIDE
    assert point > 5
    assert service.stands()["acme"][0] == "ready"


def test_wherever_a_removal_dies_it_can_be_continued(
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
        if service.stands()["acme"][0] == "dropping":
            refused = service.one("acme")
            assert refused.error is not None and "is being removed" in refused.error.problem
            assert service.stands()["acme"][0] == "dropping"
            assert [f.problem for f in audit_tenants(service.engine, repair=True)] == [
                "its removal was cut short"
            ]
            drop_tenant(service.engine, "acme", config=service.config)
            assert service.stands() == {}
        point += STRIDE
    assert point > 5
    assert service.stands() == {}
    assert not service.ask("SELECT 1 FROM pg_namespace WHERE nspname LIKE 'tenant%%'")


def test_a_large_schema_of_every_kind_of_thing_goes_in_chunks(service: Service) -> None:
    service.add(
        [
            'op.execute("CREATE TABLE parts (id bigint) PARTITION BY RANGE (id)")',
            "for n in range(150):",
            '    op.execute(f"CREATE TABLE part_{n} PARTITION OF parts'
            ' FOR VALUES FROM ({n}) TO ({n + 1})")',
            'op.execute("CREATE VIEW seen AS SELECT * FROM users")',
            'op.execute("CREATE MATERIALIZED VIEW kept AS SELECT * FROM seen")',
            'op.execute("CREATE SEQUENCE numbers")',
            "op.execute(\"CREATE TYPE mood AS ENUM ('sad', 'ok')\")",
            'op.execute("CREATE FUNCTION one() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$")',
        ]
    )
    service.all()
    service.one("acme")
    most = 0

    def count(connection: sa.Connection) -> None:
        nonlocal most
        locks = sa.text("SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()")
        most = max(most, connection.scalar(locks) or 0)

    sa.event.listen(service.engine, "commit", count)
    code, _, _ = service.command("tenant drop acme")
    assert code == 1 and service.stands() != {}
    drop_tenant(service.engine, "acme", config=service.config)
    assert 0 < most < 600
    assert service.stands() == {}
    assert service.command("tenant drop acme --yes")[0] == 1


def test_an_audit_finds_what_does_not_agree_and_repairs_it(service: Service) -> None:
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
    assert service.stands() == {
        "a": ("ready", "002"),
        "b": ("ready", "002"),
        "c": ("ready", "002"),  # its rows are gone: no repair brings them back
        "d": ("behind", "001"),
        "e": ("ready", "002"),
    }
    service.ask('DROP SCHEMA "tenant_Not One"')
    assert service.command("tenant drop c --yes")[0] == 0
    assert service.command("tenant audit")[:2] == (0, "Registry and schemas agree\n")
