"""Nothing that the engine sends has a shape that Citus refuses; a cluster gets the same tests.

With ``TENANTS_CITUS_SERVER`` the address of a cluster's coordinator and ``TENANTS_CITUS_WORKERS`` its
workers (``host:port host:port``), all tests of this folder run on it: see ``tools/services.py``.
"""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest
from my_service.migrate import audit_tenants, drop_tenant
from my_service.migrate.tenants import bulk, scope
from my_service.migrate.tenants.recording import is_several

from tenants.support import Service

# https://docs.citusdata.com/en/stable/develop/reference_workarounds.html
REFUSED = {
    "an anonymous block": re.compile(r"^\s*DO\b", re.I),
    "a call": re.compile(r"^\s*CALL\b", re.I),
    "a function": re.compile(r"^\s*CREATE\s+(OR\s+REPLACE\s+)?(FUNCTION|PROCEDURE)\b", re.I),
    "a trigger": re.compile(r"^\s*CREATE\s+(OR\s+REPLACE\s+)?(CONSTRAINT\s+)?TRIGGER\b", re.I),
    "a subquery in VALUES": re.compile(r"\bVALUES\s*\([^;]*\bSELECT\b", re.I),
}


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
    ],
)  # fmt: skip
def test_refused_shapes_are_recognised(statement: str) -> None:
    assert refused(statement)


@pytest.mark.parametrize(
    "statement",
    ["INSERT INTO a (b) SELECT max(b) + 1 FROM a", "INSERT INTO a VALUES (1)", "SELECT 'DO; DO'"],
)
def test_other_shapes_are_not_refused(statement: str) -> None:
    assert refused(statement) is None


def test_a_tenants_whole_life_sends_nothing_that_citus_refuses(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    execute, executemany = psycopg.Cursor.execute, psycopg.Cursor.executemany

    def one(self: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        sent.append(str(query))
        return execute(self, query, *arguments, **options)

    def many(self: Any, query: Any, *arguments: Any, **options: Any) -> None:
        sent.append(str(query))
        executemany(self, query, *arguments, **options)

    table = 'op.create_table("notes", sa.Column("id", sa.Integer, primary_key=True))'
    service.add(table, 'op.drop_table("notes")')
    service.all()
    for module in (bulk, scope):  # the setting is sent to any server, and does nothing there
        monkeypatch.setattr(module, "has_citus", lambda connection: True)
    monkeypatch.setattr(psycopg.Cursor, "execute", one)
    monkeypatch.setattr(psycopg.Cursor, "executemany", many)
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
    assert len(made) == 5
    for place in made:
        assert sent[place - 1] == "SET LOCAL citus.enable_schema_based_sharding TO on"
