"""Nothing that the engine sends has a shape that Citus refuses; a cluster gets the same tests.

With ``TENANTS_CITUS_SERVER`` the address of a cluster's coordinator and ``TENANTS_CITUS_WORKERS`` its
workers (``host:port host:port``), all tests of this folder run on it: see ``tools/services.py``.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from my_service import migrations
from my_service.migrate import Registration, audit_tenants, drop_tenant, get_instances
from my_service.migrate.backends.postgresql import backup as postgresql_backup
from my_service.migrate.tenants import backup, bring_tenants_along, bulk, roles, scope
from my_service.migrate.tenants.recording import is_several
from my_service.migrate.tenants.replace_schema import one_by_one

from tenants.support import Service, on_cluster
from tenants.test_backfills import CONTRACT, FILL, NO_TABLE, TABLE, each_once, rows

# https://docs.citusdata.com/en/stable/develop/reference_workarounds.html
REFUSED = {
    "an anonymous block": re.compile(r"^\s*DO\b", re.I),
    "a call": re.compile(r"^\s*CALL\b", re.I),
    "a function": re.compile(r"^\s*CREATE\s+(OR\s+REPLACE\s+)?(FUNCTION|PROCEDURE)\b", re.I),
    "a trigger": re.compile(r"^\s*CREATE\s+(OR\s+REPLACE\s+)?(CONSTRAINT\s+)?TRIGGER\b", re.I),
    "a subquery in VALUES": re.compile(r"\bVALUES\s*\([^;]*\bSELECT\b", re.I),
    "a volatile function in an UPDATE": re.compile(
        r"^\s*UPDATE\b[^;]*\b(clock_timestamp|random|gen_random_uuid|nextval|set_config)\(", re.I
    ),
    # It is not refused: it is done on the table's machine, and does nothing on this one.
    "a setting made of a table's rows": re.compile(r"\bset_config\([^;]*\bFROM\s+\"", re.I),
}


TRUNCATE = "truncate_local_data_after_distributing_table"


def refused(statement: str) -> str | None:
    """Why Citus refuses a statement, if it does."""
    if is_several(statement):
        return "several statements in a string"
    return next((why for why, shape in REFUSED.items() if shape.search(statement)), None)


@pytest.mark.parametrize(
    "statement",
    [
        "DO $$ BEGIN END $$", "SELECT 1; SELECT 2", "call p()", "CREATE FUNCTION f() RETURNS int",
        "INSERT INTO a (b, c) VALUES (1, (SELECT max(c) FROM a) + 1)",
        "CREATE CONSTRAINT TRIGGER t AFTER INSERT ON a",
        "UPDATE a SET b = extract(epoch FROM clock_timestamp() - now())",
        "SELECT set_config('a.b', (SELECT version_num FROM \"alembic_version\"), true)",
    ],
)  # fmt: skip
def test_statements_that_citus_refuses_are_recognised(statement: str) -> None:
    assert refused(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO a (b) SELECT max(b) + 1 FROM a", "INSERT INTO a VALUES (1)", "SELECT 'DO; DO'",
        "UPDATE a SET b = statement_timestamp() - now()",
        "SELECT set_config(name, '0', true) FROM pg_settings WHERE name = 'x'",
    ],
)  # fmt: skip
def test_statements_that_citus_accepts_are_not_reported(statement: str) -> None:
    assert refused(statement) is None


@pytest.fixture
def sent(service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What is sent to the server from now on; the engine takes it for one that has Citus."""
    sent: list[str] = []
    execute, executemany = psycopg.Cursor.execute, psycopg.Cursor.executemany

    def one(self: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        sent.append(query.decode() if isinstance(query, bytes) else text_of(query, self))
        return execute(self, query, *arguments, **options)

    def many(self: Any, query: Any, *arguments: Any, **options: Any) -> None:
        sent.append(text_of(query, self))
        executemany(self, query, *arguments, **options)

    for module in (backup, bulk, roles, scope):  # the setting does nothing on any other server
        monkeypatch.setattr(module, "has_citus", lambda connection: True)
    monkeypatch.setattr(psycopg.Cursor, "execute", one)
    monkeypatch.setattr(psycopg.Cursor, "executemany", many)
    monkeypatch.setenv("BACKUP_DIRECTORY", str(tmp_path / "backups"))
    return sent


def text_of(query: Any, cursor: Any) -> str:
    """A statement as it is sent."""
    return query.as_string(cursor) if isinstance(query, psycopg.sql.Composable) else str(query)


def test_creating_migrating_and_dropping_tenants_sends_nothing_that_citus_refuses(
    service: Service, sent: list[str]
) -> None:
    table = 'op.create_table("notes", sa.Column("id", sa.Integer, primary_key=True))'
    service.add(table, 'op.drop_table("notes")')
    service.all()
    service.register("a", "b", "c", "d")
    run = service.all()
    assert run.success, run.failed[0].error
    assert service.one("e").created
    service.add(
        'op.add_column("notes", sa.Column("text", sa.Text))', 'op.drop_column("notes", "text")'
    )
    run = service.all()
    assert run.success, run.failed[0].error
    assert service.command("migrate rollback")[0] == 0
    assert service.command("migrate rollback --tenant a")[0] == 0
    run = service.all()
    assert run.success, run.failed[0].error
    assert audit_tenants(service.engine, config=service.config, repair=True) == []
    drop_tenant(service.engine, "b", config=service.config)
    assert {statement: why for statement in sent if (why := refused(statement))} == {}
    made = [place for place, statement in enumerate(sent) if statement.startswith("CREATE SCHEMA")]
    assert len([place for place in made if "scratch" not in sent[place]]) == 5
    for place in made:
        assert sent[place - 1] == "SET LOCAL citus.enable_schema_based_sharding TO on"


def test_verify_backup_instances_and_adoption_send_nothing_that_citus_refuses(
    service: Service, sent: list[str]
) -> None:
    """Failures, verifying, instances and the gate, backups, adoption, and what is left behind."""
    service.add('op.create_table("notes", sa.Column("id", sa.Integer, primary_key=True))')
    service.make("a", "b", "c", "d")
    instance = Registration(service.engine, service.config)
    instance.register()
    assert instance.beat()
    assert len(get_instances(service.engine, config=service.config)) == 1
    instance.remove()
    broken = service.add('op.execute("SELECT nothing")', extra='phase = "contract"')
    assert service.command("migrate contract")[0] == 1
    assert service.statuses()["a"][0] == "failed"
    assert service.command("migrate rollback")[0] == 0
    service.remove(broken)
    broken = service.add('op.execute("SELECT nothing")', schemas="shared")
    assert service.command("migrate latest")[0] == 1
    service.remove(broken)
    for line in (
        "migrate latest",
        "migrate status",
        "migrate history",
        "migrate stats",
        "migrate verify",
        "tenant verify",
        "migrate diff chain tenant:a",
        "tenant list",
        "backup create",
        "backup create --tenant a",
    ):
        code, _, err = service.command(line)
        assert code == 0, (line, err)
    (name, *_) = [one["name"] for one in json.loads(service.command("backup list --json")[1])]
    if not on_cluster():
        for function in ("citus_schema_distribute(regnamespace)", f"{TRUNCATE}(regclass)"):
            service.ask(
                f"CREATE FUNCTION pg_catalog.{function} RETURNS void LANGUAGE sql AS 'SELECT'"
            )
            sent.pop()
    before = len(sent)
    code, _, err = service.command(f"backup restore {name} --tenant a --yes")
    assert code == 0, err
    assert [one for one in sent[before:] if "citus_schema_distribute" in one]
    assert [one for one in sent[before:] if TRUNCATE in one]
    (kept,) = service.command("backup forget")[1].split()
    assert service.command(f"backup forget {kept} --yes")[0] == 0
    service.ask("DELETE FROM tenant_c.migration_history")
    service.ask("UPDATE public.tenants SET updated_at = 'epoch', revision = '002' WHERE id = 'c'")
    bring_tenants_along(service.engine, config=service.config)
    service.ask("DROP SCHEMA tenant_d CASCADE")
    assert service.command("tenant audit --repair")[0] == 0
    assert {statement: why for statement in sent if (why := refused(statement))} == {}


def test_backfills_and_baselines_send_nothing_that_citus_refuses(
    service: Service, sent: list[str]
) -> None:
    service.config = replace(service.config, backfill_pause=0.0)
    service.patch.setattr(migrations, "config", service.config)
    service.add(TABLE, NO_TABLE)
    service.make("a", "b", "c", "d")
    for tenant in "abc":
        rows(service, tenant)
    service.add("pass", extra=FILL)
    service.add("pass", extra=CONTRACT)
    run = service.all()
    assert run.success, run.failed[:1] or run.public.error
    each_once(service, "a", "b", "c")
    assert service.one("e").created
    assert service.command("migrate status")[0] == 0
    assert service.command("backup create --tenant a")[0] == 0
    assert service.command("migrate rollback")[0] == 0
    assert service.all().success
    service.ask("DROP TABLE tenant_d.alembic_version, tenant_d.migration_history")
    service.ask("DELETE FROM public.tenants WHERE id = 'd'")
    code, _, err = service.command("tenant baseline")
    assert code == 0, err
    drop_tenant(service.engine, "a", config=service.config)
    assert {statement: why for statement in sent if (why := refused(statement))} == {}


def test_unsupported_features_on_citus_are_errors(service: Service, sent: list[str]) -> None:
    service.make("a")
    service.patch.setenv("TENANT_ROLES", "true")
    for line in ("tenant create b", "tenant roles"):
        code, _, err = service.command(line)
        assert (code, "Solution: Set TENANT_ROLES=false" in err) == (1, True), err
    service.patch.delenv("TENANT_ROLES")
    assert service.command("tenant list")[1] == "a\ta\tready\t002\n"
    service.patch.setattr(postgresql_backup, "_ON_CITUS", sa.text("SELECT 1"))
    assert service.command("backup create")[0] == 0
    (name,) = [one["name"] for one in json.loads(service.command("backup list --json")[1])]
    code, _, err = service.command(f"backup restore {name} --yes")
    assert (code, "backup restore NAME --tenant ID" in err) == (1, True), err


SCRIPT = """
-- a comment; with a semicolon
SET search_path = '';
CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $_$SELECT ';' || $1; $_$;
COMMENT ON TABLE "a;b" IS 'it''s; so'; /* ; */
"""


def test_a_script_is_split_into_its_statements() -> None:
    assert [part.split()[0] for part in one_by_one(SCRIPT.encode())] == [
        b"--",
        b"CREATE",
        b"COMMENT",
    ]
    assert b"".join(one_by_one(SCRIPT.encode())).split() == SCRIPT.split("/*")[0].encode().split()
    atomic = b"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END; SELECT 1;"
    assert list(one_by_one(atomic)) == [atomic]
