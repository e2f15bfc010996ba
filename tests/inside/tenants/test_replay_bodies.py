"""With any kind of body, five tenants with different rows end up as with Alembic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from alembic.operations import Operations
from my_service.database.backend import connect
from my_service.migrate.tenants import rollback_all_tenants, rollback_tenant
from my_service.settings import Settings

from tenants.comparison import ALONE, MIGRATED, dump, fill, history
from tenants.support import (
    Service,
    create_database,
    drop_database,
    on_cluster,
    replays,
    server_url,
)

BIND = "bind = op.get_bind()"
ITEMS = 'items = sa.table("items", sa.column("id"), sa.column("name"), sa.column("data", sa.JSON))'

# Bodies that only execute: the other three tenants replay them.
REPLAYABLE: dict[str, list[str]] = {
    "add and drop columns": [
        'op.add_column("items", sa.Column("n", sa.Integer, server_default="7", nullable=False))',
        'op.drop_column("items", "price")',
    ],
    "alter a column that has rows": [
        'op.alter_column("items", "price", type_=sa.Text(), postgresql_using="\'$\' || price")',
        'op.alter_column("items", "name", new_column_name="title", nullable=False)',
    ],
    "a table with an enum": [
        'op.create_table("moods", sa.Column("id", sa.Integer, primary_key=True),'
        ' sa.Column("mood", sa.Enum("sad", "o\'k", name="mood"), server_default="sad"))',
        'op.execute("INSERT INTO moods SELECT id FROM items")',
    ],
    "inserts and updates from a query": [
        "op.execute(\"INSERT INTO log SELECT name || ' of ' || (count(*) OVER ())::text FROM items\")",
        'op.execute("UPDATE items SET price = price + (SELECT count(*) FROM parents)")',
        'op.execute("DELETE FROM children USING parents p WHERE p.id = parent_id AND p.id%3 = 0")',
    ],
    "an update of many rows": [
        ITEMS,
        'op.execute(items.update().values(name=items.c.name + " 100%"))',
        "op.execute(items.delete().where(items.c.id == 2))",
    ],
    "a bulk insert": [
        ITEMS,
        'op.bulk_insert(items, [{"id": 100 + n, "name": f"% {n} \\\\", "data": {"é": [n, None]}}'
        " for n in range(5)])",
        'op.bulk_insert(items, [{"id": 200, "name": ";", "data": None}], multiinsert=False)',
    ],
    "executemany": [
        BIND,
        ITEMS,
        'more = [{"id": 300 + n, "name": "x", "data": [n]} for n in range(3)]',
        "bind.execute(items.insert(), more)",
        'bind.execute(sa.text("UPDATE items SET name = :new WHERE id = :id"),'
        ' [{"new": "ten", "id": 1}, {"new": "twenty", "id": 4}])',
    ],
    "a dictionary reused for several executions": [
        BIND,
        'values = {"what": ""}',
        'for word in ("one", "two", "three"):',
        '    values["what"] = word',
        '    bind.execute(sa.text("INSERT INTO log VALUES (:what)"), values)',
    ],
    "a nested value reused for several executions": [
        BIND,
        ITEMS,
        'data = {"list": []}',
        "for n in range(3):",
        '    data["list"].append(n)',
        '    bind.execute(items.insert().values(id=400 + n, name="x", data=data))',
    ],
    "a list of rows reused for several executions": [
        BIND,
        "rows = []",
        "for n in range(3):",
        '    rows.append({"what": f"row {n}"})',
        '    bind.execute(sa.text("INSERT INTO log VALUES (:what)"), rows)',
        "rows.clear()",
    ],
    "a DO block that depends on rows": [
        'op.execute("DO $$ BEGIN IF (SELECT count(*) FROM items) > 3 THEN'
        ' CREATE TABLE many (id int); ELSE CREATE TABLE few (id int); END IF; END $$")',
    ],
    "a DO block that creates a table for each row": [
        'op.execute("DO $$ DECLARE i int; BEGIN FOR i IN SELECT id FROM items LOOP'
        " EXECUTE format('CREATE TABLE item_%s ()', i); END LOOP; END $$\")",
    ],
    "a new function that is used": [
        'op.execute("CREATE FUNCTION twice(n numeric) RETURNS numeric LANGUAGE sql'
        ' IMMUTABLE AS $f$ SELECT n * 2; $f$")',
        'op.execute("UPDATE items SET price = twice(price)")',
    ],
    "a trigger": [
        'op.execute("CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $f$'
        ' BEGIN INSERT INTO log VALUES (NEW.name); RETURN NEW; END $f$")',
        'op.execute("CREATE TRIGGER note AFTER UPDATE ON items FOR EACH ROW'
        ' EXECUTE FUNCTION note()")',
        'op.execute("UPDATE items SET name = upper(name)")',
    ],
    "returned rows that are not read": [
        'op.execute("INSERT INTO log SELECT name FROM items RETURNING what")',
        "op.execute(\"SELECT setval('numbered_id_seq', 1000 + (SELECT count(*) FROM items))\")",
        "op.execute(\"INSERT INTO numbered (name) VALUES ('after')\")",
    ],
    "a SQLAlchemy table with a key made by the server": [
        'table = sa.Table("numbered", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True),'
        ' sa.Column("name", sa.Text))',
        'op.execute(table.insert().values(name="one more"))',
    ],
    "a table that create_table returns": [
        'made = op.create_table("made", sa.Column("id", sa.Integer, primary_key=True),'
        ' sa.Column("name", sa.Text, index=True, comment="it\'s"))',
        'op.bulk_insert(made, [{"name": "a"}, {"name": "b"}])',
    ],
    "batch operations": [
        'with op.batch_alter_table("items") as batch:',
        '    batch.add_column(sa.Column("b", sa.Boolean, server_default=sa.false()))',
        '    batch.alter_column("name", type_=sa.String(40))',
        '    batch.create_index("items_name", ["name"])',
    ],
    "constraints": [
        'op.create_check_constraint("positive", "items", "id > 0")',
        'op.create_unique_constraint("unique_data", "log", ["what"])',
        'op.create_foreign_key("to_items", "children", "items", ["id"], ["id"],'
        ' ondelete="CASCADE")',
        'op.drop_constraint("children_parent_id_fkey", "children", type_="foreignkey")',
    ],
    "views, comments and names": [
        'op.execute("CREATE VIEW cheap AS SELECT * FROM items WHERE price < 5")',
        'op.execute("CREATE MATERIALIZED VIEW kept AS SELECT count(*) FROM cheap")',
        "op.execute(\"COMMENT ON VIEW cheap IS '100% cheap; really'\")",
        'op.rename_table("log", "journal")',
    ],
    "the schema name read by the server": [
        "op.execute(\"DO $$ BEGIN EXECUTE format('COMMENT ON SCHEMA %I IS %L',"
        ' current_schema(), (SELECT count(*) FROM items)); END $$")',
    ],
    "arrays, dates, numbers and bytes": [
        BIND,
        "import datetime",
        "import decimal",
        'op.execute("CREATE TABLE kinds (a int[], d date, n numeric, b bytea, f float8)")',
        'bind.execute(sa.text("INSERT INTO kinds VALUES (:a, :d, :n, :b, :f)"),'
        ' {"a": [1, 2], "d": datetime.date(2026, 1, 31), "n": decimal.Decimal("1.50"),'
        ' "b": bytes(range(256)), "f": float("inf")})',
    ],
    "exec_driver_sql": [
        BIND,
        'bind.exec_driver_sql("INSERT INTO log VALUES (%s)", ("100%",))',
        'bind.exec_driver_sql("INSERT INTO log SELECT name FROM items WHERE id %% 2 = 0", ())',
    ],
    "locked rows that are not read": [
        'op.execute("SELECT * FROM items FOR UPDATE")',
        'op.execute("LOCK TABLE parents IN SHARE MODE")',
        'op.execute("DELETE FROM items WHERE id > 3")',
    ],
    "an error caught in a DO block": [
        "op.execute(\"DO $$ BEGIN INSERT INTO parents VALUES (1, 'one'); EXCEPTION"
        " WHEN unique_violation THEN INSERT INTO log VALUES ('was there'); END $$\")",
    ],
    "a function that changes session state and the search_path": [
        'op.execute("INSERT INTO log SELECT leave()")',
    ],
    "an upsert": [
        "from sqlalchemy.dialects.postgresql import insert",
        'parents = sa.table("parents", sa.column("id"), sa.column("name"))',
        'rows = insert(parents).values([{"id": n, "name": f"new {n}"} for n in range(3, 8)])',
        'was = {"name": "was " + parents.c.name}',
        'op.execute(rows.on_conflict_do_update(index_elements=["id"], set_=was))',
    ],
    "a CTE that deletes, and notifications": [
        'op.execute("WITH gone AS (DELETE FROM children RETURNING id)'
        ' INSERT INTO log SELECT id::text FROM gone")',
        "op.execute(\"SELECT pg_notify('changed', name) FROM items\")",
    ],
    "a table rebuild without reflection": [
        'log = sa.Table("log", sa.MetaData(), sa.Column("what", sa.Text))',
        'with op.batch_alter_table("log", recreate="always", copy_from=log) as batch:',
        '    batch.add_column(sa.Column("n", sa.Integer))',
    ],
    "the name of the dialect": [
        "first = op.get_bind().dialect.name[:1]",
        'if op.get_context().dialect.name == "postgresql" and first == "p":',
        '    op.execute("CREATE INDEX named ON items (name)")',
    ],
}

REPLAYABLE |= {
    "empty statements": ['op.execute("-- nothing")', 'op.execute(" ")'],
    "if_exists and if_not_exists": [
        'op.drop_table("missing", if_exists=True)',
        'op.create_index("x", "items", ["name"], if_not_exists=True)',
        'op.create_index("x", "items", ["name"], if_not_exists=True)',
        'op.create_table("log", sa.Column("a", sa.Integer), if_not_exists=True)',
    ],
    "partitions, identity and computed columns": [
        'op.execute("CREATE TABLE p (a int, b int) PARTITION BY RANGE (a)")',
        'op.execute("CREATE TABLE p1 PARTITION OF p DEFAULT")',
        'op.execute("INSERT INTO p SELECT id, id FROM items")',
        'op.create_table("i", sa.Column("id", sa.Integer, sa.Identity(start=5), primary_key=True),'
        ' sa.Column("n", sa.Integer), sa.Column("c", sa.Integer, sa.Computed("n * 2", persisted=True)))',
        'op.execute("INSERT INTO i (n) SELECT id FROM items")',
    ],
    "a deferred trigger": [
        'op.execute("CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $f$'
        ' BEGIN INSERT INTO log VALUES (current_schema()); RETURN NULL; END $f$")',
        'op.execute("CREATE CONSTRAINT TRIGGER late AFTER INSERT ON numbered'
        ' DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late()")',
        'op.execute("INSERT INTO numbered (name) SELECT name FROM items")',
    ],
    "a temporary table made by dynamic SQL": [
        "op.execute(\"DO $$ BEGIN EXECUTE 'CREATE TE' || 'MP TABLE old AS SELECT * FROM items';"
        ' END $$")',
        'op.execute("INSERT INTO log SELECT name FROM old")',
    ],
}

# Bodies that may observe something of a tenant: each tenant goes through Alembic.
NOT_REPLAYABLE: dict[str, list[str]] = {
    "a loop until rowcount is zero": [
        BIND,
        'chunk = sa.text("DELETE FROM items WHERE id IN (SELECT id FROM items LIMIT 2)")',
        "n = 0",
        "while bind.execute(chunk).rowcount:",
        "    n += 1",
        "    op.execute(f\"INSERT INTO log VALUES ('chunk {n}')\")",
    ],
    "an insert if rowcount is zero": [
        BIND,
        "result = bind.execute(sa.text(\"UPDATE items SET name = 'first' WHERE id = 1\"))",
        "if result.rowcount == 0:",
        "    op.execute(\"INSERT INTO items (id, name) VALUES (1, 'new')\")",
    ],
    "a server-side cursor": [
        BIND,
        "options = {'stream_results': True}",
        'for row in bind.execute(sa.text("SELECT name FROM items"), execution_options=options):',
        '    bind.execute(sa.text("INSERT INTO log VALUES (:n)"), {"n": row.name})',
    ],
    "a statement with execution options": [
        BIND,
        'stream = sa.text("SELECT name FROM items").execution_options(yield_per=2)',
        "for part in bind.execute(stream).partitions():",
        '    bind.execute(sa.text("INSERT INTO log VALUES (:n)"), {"n": str(len(part))})',
    ],
    "a connection with execution options": [
        "bind = op.get_bind().execution_options(max_row_buffer=3)",
        'names = [row.name for row in bind.execute(sa.text("SELECT name FROM items"))]',
        "op.execute(f\"INSERT INTO log VALUES ('{len(names)}')\")",
    ],
    "a named cursor": [
        "raw = op.get_bind().connection.driver_connection",
        "with raw.cursor(name='named') as cursor:",
        '    cursor.execute("SELECT id FROM items")',
        "    found = len(cursor.fetchall())",
        "op.execute(f\"INSERT INTO log VALUES ('{found}')\")",
    ],
    "a caught error": [
        BIND,
        "try:",
        "    with bind.begin_nested():",
        "        op.execute(\"INSERT INTO parents VALUES (4, 'four')\")",
        "except sa.exc.IntegrityError:",
        "    op.execute(\"INSERT INTO log VALUES ('was there')\")",
    ],
    "an error caught by suppress": [
        "import contextlib",
        BIND,
        "with contextlib.suppress(Exception), bind.begin_nested():",
        '    op.execute("ALTER TABLE items ADD CHECK (id < 3)")',
    ],
    "an error that depends on rows": [
        BIND,
        "try:",
        "    with bind.begin_nested():",
        '        op.execute("SELECT 1 / (SELECT count(*) FROM items)")',
        "        op.execute(\"INSERT INTO log VALUES ('rows')\")",
        "except sa.exc.DBAPIError:",
        "    op.execute(\"INSERT INTO log VALUES ('no rows')\")",
    ],
    "a temporary table": [
        'op.execute("CREATE TEMP TABLE old AS SELECT * FROM items")',
        'op.execute("INSERT INTO log SELECT name FROM old")',
    ],
    "a temporary table if it does not exist": [
        'op.execute("CREATE TEMPORARY TABLE IF NOT EXISTS old AS SELECT * FROM items")',
        'op.execute("INSERT INTO log SELECT name FROM old")',
    ],
    "a returned row": [
        BIND,
        "new = bind.execute(sa.text(\"INSERT INTO numbered (name) VALUES ('x') RETURNING id\"))",
        "op.execute(f\"INSERT INTO log VALUES ('{new.scalar()}')\")",
    ],
    "the inserted primary key": [
        'table = sa.Table("numbered", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True),'
        ' sa.Column("name", sa.Text))',
        "key = op.get_bind().execute(table.insert().values(name='x')).inserted_primary_key",
        "op.execute(f\"INSERT INTO log VALUES ('{key[0]}')\")",
    ],
    "executemany with returned keys": [
        'table = sa.Table("numbered", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True),'
        ' sa.Column("name", sa.Text))',
        "insert = table.insert().returning(table.c.id)",
        "keys = op.get_bind().execute(insert, [{'name': 'x'}, {'name': 'y'}]).scalars().all()",
        "op.execute(f\"INSERT INTO log VALUES ('{sum(keys)}')\")",
    ],
    "a column default that reads a row count": [
        'count = sa.text("UPDATE items SET price = 0")',
        'table = sa.Table("numbered", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True),'
        ' sa.Column("name", sa.Text, default=lambda c: str(c.root_connection.execute(count).rowcount)))',
        "op.execute(table.insert())",
        'op.bulk_insert(table, [{"id": 900}, {"id": 901}])',
    ],
    "a DDL condition that reads a row count": [
        'count = sa.text("UPDATE items SET price = 0")',
        'table = sa.Table("made", sa.MetaData(), sa.Column("id", sa.Integer))',
        'sa.Index("made_id", table.c.id).ddl_if('
        "callable_=lambda ddl, target, bind, **_: bind.execute(count).rowcount > 2)",
        "table.create(op.get_bind(), checkfirst=False)",
    ],
    "the tenant's id, read from a hook of Alembic": [
        'hook = op.get_context().opts["on_version_apply"][-2]',
        'if hook._config.scope.tenant in ("m3", "a3"):',
        "    op.execute(\"INSERT INTO log VALUES ('third')\")",
    ],
    "a setting read after a string that looks like a comment": [
        "op.execute(\"INSERT INTO log VALUES ('--' || current_setting('application_name'))\")",
    ],
    "the last value of a sequence": [
        "op.execute(\"INSERT INTO numbered (name) VALUES ('x')\")",
        "op.execute(\"INSERT INTO log VALUES (currval('numbered_id_seq'))\")",
        'op.execute("INSERT INTO log VALUES (lastval())")',
    ],
    "an advisory lock": [
        'op.execute("SELECT pg_advisory_lock(4711)")',
        'free = op.get_bind().scalar(sa.text("SELECT pg_advisory_unlock(4711)"))',
        "op.execute(f\"INSERT INTO log VALUES ('{free}')\")",
    ],
    "COPY": [
        "raw = op.get_bind().connection.driver_connection",
        'with raw.cursor() as cursor, cursor.copy("COPY log (what) FROM STDIN") as copy:',
        '    copy.write_row(("copied",))',
    ],
    "an inspector": [
        "catalog = sa.inspect(op.get_bind())",
        'if catalog.has_table("items") and not catalog.has_table("missing"):',
        '    op.execute("CREATE TABLE missing ()")',
    ],
    "a scalar": [
        'if op.get_bind().scalar(sa.text("SELECT count(*) FROM items")):',
        '    op.execute("CREATE TABLE has_rows ()")',
    ],
    "scalars": [
        'for name in op.get_bind().scalars(sa.text("SELECT name FROM items")):',
        "    op.execute(f\"INSERT INTO log VALUES ('{name}')\")",
    ],
    "rows read by a Session": [
        "from sqlalchemy.orm import Session",
        "session = Session(bind=op.get_bind())",
        'for (name,) in session.execute(sa.text("SELECT name FROM items")):',
        "    op.execute(f\"INSERT INTO log VALUES ('{name}')\")",
    ],
    "a row count read by a Session": [
        "from sqlalchemy.orm import Session",
        "session = Session(op.get_bind())",
        'done = session.execute(sa.text("UPDATE items SET name = upper(name)")).rowcount',
        "op.execute(f\"INSERT INTO log VALUES ('{done}')\")",
        "session.flush()",
    ],
    "a result in a for loop": [
        'for row in op.get_bind().execute(sa.text("SELECT id FROM parents")):',
        "    op.execute(f\"INSERT INTO log VALUES ('{row.id}')\")",
    ],
    "a result in a with statement": [
        'with op.get_bind().execute(sa.text("SELECT count(*) AS n FROM items")) as result:',
        "    (row,) = result",
        "op.execute(f\"INSERT INTO log VALUES ('{row.n}')\")",
    ],
    "mappings": [
        'found = op.get_bind().execute(sa.text("SELECT id FROM items")).mappings().all()',
        "op.execute(f\"INSERT INTO log VALUES ('{len(found)}')\")",
    ],
    "the schema's name in a condition": [
        'if op.get_context().opts["scope"].name.endswith("4"):',
        "    op.execute(\"INSERT INTO log VALUES ('fourth')\")",
    ],
    "the tenant's id in a condition": [
        'if op.get_context().opts["scope"].tenant in ("m3", "a3"):',
        "    op.execute(\"INSERT INTO log VALUES ('third')\")",
    ],
    "the connection of the context": [
        'n = op.get_context().connection.scalar(sa.text("SELECT count(*) FROM items"))',
        "op.execute(f\"INSERT INTO log VALUES ('{n}')\")",
    ],
    "the bind of the implementation": [
        'n = op.get_context().impl.bind.scalar(sa.text("SELECT count(*) FROM items"))',
        "op.execute(f\"INSERT INTO log VALUES ('{n}')\")",
    ],
    "the driver's row count": [
        "raw = op.get_bind().connection.driver_connection",
        'count = raw.execute("UPDATE items SET name = lower(name)").rowcount',
        "op.execute(f\"INSERT INTO log VALUES ('{count}')\")",
    ],
    "the driver's message": [
        "cursor = op.get_bind().connection.cursor()",
        'cursor.execute("DELETE FROM children")',
        "op.execute(f\"INSERT INTO log VALUES ('{cursor.statusmessage}')\")",
    ],
    "notices": [
        "raw = op.get_bind().connection.driver_connection",
        "heard = []",
        "raw.add_notice_handler(lambda notice: heard.append(notice.message_primary))",
        "op.execute(\"DO $$ BEGIN RAISE NOTICE '%', (SELECT count(*) FROM items); END $$\")",
        "op.execute(f\"INSERT INTO log VALUES ('{heard[-1]}')\")",
    ],
    "notices read from a log": [
        "import logging",
        "heard = []",
        'log = logging.getLogger("sqlalchemy.dialects.postgresql")',
        "log.setLevel(logging.INFO)",
        "log.addFilter(hear := lambda record: heard.append(record.getMessage()) or True)",
        "op.execute(\"DO $$ BEGIN RAISE NOTICE '%', (SELECT count(*) FROM items); END $$\")",
        "log.removeFilter(hear)",
        "op.execute(f\"INSERT INTO log VALUES ('{heard[-1]}')\")",
    ],
    "a replaced method that reads row counts": [
        "heard, real = [], sa.Connection.execute",
        "def listen(*given, **named):",
        "    result = real(*given, **named)",
        "    heard.append(result.rowcount)",
        "    return result",
        "sa.Connection.execute = listen",
        "try:",
        '    op.execute("UPDATE items SET price = 1")',
        "finally:",
        "    sa.Connection.execute = real",
        "op.execute(f\"INSERT INTO log VALUES ('{heard[-1] if heard else 0}')\")",
    ],
    "a column default that reads its connection": [
        "def which(c):",
        "    info = c.root_connection.connection.driver_connection.info",
        '    path = info.parameter_status("search_path") or ""',
        '    return "third" if "3" in path else "another"',
        'table = sa.Table("log", sa.MetaData(), sa.Column("what", sa.Text, default=which))',
        "op.execute(table.insert())",
    ],
    "another connection": [
        "with op.get_bind().engine.connect() as other:",
        '    found = other.scalar(sa.text("SELECT 2"))',
        "op.execute(f\"INSERT INTO log VALUES ('{found}')\")",
    ],
    "an event listener that reads row counts": [
        "heard = []",
        'sa.event.listen(sa.Engine, "after_cursor_execute",'
        " hear := lambda *event: heard.append(event[1].rowcount))",
        'op.execute("UPDATE items SET price = 1")',
        'sa.event.remove(sa.Engine, "after_cursor_execute", hear)',
        "op.execute(f\"INSERT INTO log VALUES ('{heard[0]}')\")",
    ],
    "create_all of missing tables": [
        "metadata = sa.MetaData()",
        'sa.Table("items", metadata, sa.Column("id", sa.Integer))',
        'sa.Table("more", metadata, sa.Column("id", sa.Integer))',
        "metadata.create_all(op.get_bind())",
    ],
    "an enum type created if it is missing": [
        'kind = sa.Enum("a", "b", name="kind")',
        "kind.create(op.get_bind(), checkfirst=True)",
        "kind.create(op.get_bind(), checkfirst=True)",
    ],
    "a table rebuild with reflection": [
        'with op.batch_alter_table("log", recreate="always") as batch:',
        '    batch.add_column(sa.Column("n", sa.Integer))',
    ],
    "a session setting": [
        "op.execute(\"SET my.word = 'x'\")",
        "op.execute(\"INSERT INTO log VALUES (current_setting('my.word'))\")",
    ],
    "a prepared statement": [
        'op.execute("PREPARE mine AS INSERT INTO log SELECT name FROM items")',
        'op.execute("EXECUTE mine")',
    ],
    "a cursor WITH HOLD": [
        'op.execute("DECLARE mine CURSOR WITH HOLD FOR SELECT name FROM items")',
        'op.execute("MOVE FORWARD 1 FROM mine")',
        'row = op.get_bind().execute(sa.text("FETCH 1 FROM mine")).first()',
        "op.execute(f\"INSERT INTO log VALUES ('{row and row[0]}')\")",
    ],
    "a random choice": [
        "import random",
        "random.seed(op.get_context().get_current_revision())",
        "op.execute(f\"INSERT INTO log VALUES ('{random.choice('ab')}')\")",
    ],
    "a helper with a cache": [
        "items = count_items()",
        "op.execute(f\"INSERT INTO log VALUES ('{items}')\")",
    ],
}
REPLAYABLE |= {
    "parameters of many forms": [
        BIND,
        'items = sa.table("items", sa.column("id", sa.Integer), sa.column("name", sa.Text))',
        'some = sa.text("UPDATE items SET name = :n WHERE id IN :ids")',
        'some = some.bindparams(sa.bindparam("ids", expanding=True))',
        'bind.execute(some, {"n": "x", "ids": [1, 3, 5]})',
        'bind.execute(some, {"n": "nobody", "ids": []})',
        'op.execute(items.delete().where(sa.tuple_(items.c.id, items.c.name).in_([(4, "item 4")])))',
        'bind.execute(sa.text("DELETE FROM items WHERE id = ANY(:ids)"), {"ids": [2, 6]})',
        'literal = items.update().where(items.c.id == 7).values(name="it\'s 100% :x")',
        'options = {"literal_binds": True}',
        "op.execute(sa.DDL(str(literal.compile(dialect=bind.dialect, compile_kwargs=options))))",
    ],
    "one statement for several executions": [
        BIND,
        ITEMS,
        'words = iter(["one", "two", "three"])',
        'word = sa.bindparam("word", callable_=lambda: next(words))',
        'chosen = items.update().where(items.c.id == sa.bindparam("chosen"))',
        "for n in (1, 2, 3):",
        '    bind.execute(chosen.values(name=word), {"chosen": n})',
        'insert = "INSERT INTO log (what) VALUES (%s)"',
        'bind.exec_driver_sql(insert, [("a",), ("b%",), (None,)])',
    ],
    "keys and defaults from the server": [
        'items = sa.Table("items", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True,'
        ' default=sa.text("(SELECT coalesce(max(id), 0) + 1 FROM items)")),'
        ' sa.Column("name", sa.Text))',
        'op.execute(items.insert().values(name="one more"))',
        'op.bulk_insert(items, [{"name": "and another"}])',
        'numbered = sa.Table("numbered", sa.MetaData(), sa.Column("id", sa.Integer,'
        ' sa.Sequence("numbered_id_seq"), primary_key=True), sa.Column("name", sa.Text))',
        'op.bulk_insert(numbered, [{"name": "b"}, {"name": "c"}])',
        "count = sa.select(sa.func.count().cast(sa.Text)).select_from(items).scalar_subquery()",
        'log = sa.Table("log", sa.MetaData(), sa.Column("what", sa.Text, default=count))',
        "op.execute(log.insert())",
        "some = sa.select(items.c.name).where(items.c.id % 2 == 0)",
        'op.execute(log.insert().from_select(["what"], some))',
    ],
    "statements of many kinds": [
        'op.execute("DELETE FROM children")',
        'op.execute("MERGE INTO parents USING items ON parents.id = items.id'
        " WHEN MATCHED AND parents.id % 2 = 0 THEN DELETE"
        ' WHEN MATCHED THEN UPDATE SET name = items.name || parents.id")',
        'op.execute("CREATE TABLE twin (LIKE items INCLUDING ALL)")',
        'op.execute("TRUNCATE numbered RESTART IDENTITY")',
        'op.execute("ALTER SEQUENCE numbered_id_seq RESTART 77")',
        'op.execute("CREATE RULE gone AS ON DELETE TO parents DO ALSO'
        ' INSERT INTO log VALUES (old.name)")',
        'op.execute("DELETE FROM parents WHERE id > 2")',
        'op.execute("ALTER TABLE items ENABLE ROW LEVEL SECURITY")',
        'op.execute("CREATE POLICY all_of_them ON items USING (id > 0)")',
        'op.execute("CREATE STATISTICS joint ON id, name FROM items")',
        'op.execute("GRANT SELECT ON items TO PUBLIC")',
        'op.execute("CREATE DOMAIN positive AS int CHECK (value > 0)")',
        'op.execute("CREATE UNLOGGED TABLE quick (a positive)")',
        'op.execute("CREATE AGGREGATE joined (text) (sfunc = textcat, stype = text)")',
        'op.execute("INSERT INTO log SELECT joined(name ORDER BY id) FROM items")',
        "op.execute(\"INSERT INTO log SELECT 'items'::regclass::oid::regclass::text\")",
        'op.execute("EXPLAIN ANALYZE UPDATE items SET price = 7")',
    ],
}
NOT_REPLAYABLE |= {
    "the value of a sequence": [
        BIND,
        "import warnings",
        "with warnings.catch_warnings():",
        '    warnings.simplefilter("ignore")',
        '    number = bind.execute(sa.Sequence("numbered_id_seq"))',
        "op.execute(f\"INSERT INTO log VALUES ('{number}')\")",
    ],
    "the value of a default": [
        BIND,
        "import warnings",
        "with warnings.catch_warnings():",
        '    warnings.simplefilter("ignore")',
        '    n = bind.execute(sa.ColumnDefault(sa.text("(SELECT count(*) FROM items)")))',
        "op.execute(f\"INSERT INTO log VALUES ('{n}')\")",
    ],
    "the key of a model's object": [
        "from sqlalchemy.orm import Session, registry",
        'numbered = sa.Table("numbered", sa.MetaData(), sa.Column("id", sa.Integer,'
        ' primary_key=True), sa.Column("name", sa.Text))',
        "class Number: ...",
        "registry().map_imperatively(Number, numbered)",
        "session, one = Session(op.get_bind()), Number()",
        "session.add(one)",
        "session.flush()",
        "op.execute(f\"INSERT INTO log VALUES ('{one.id}')\")",
    ],
    "an operation that is registered": [
        '@op.register_operation("empty")',
        "class Empty:",
        "    @classmethod",
        "    def empty(cls, operations):",
        '        deleted = operations.get_bind().execute(sa.text("DELETE FROM children"))',
        "        return deleted.rowcount",
        "op.execute(f\"INSERT INTO log VALUES ('{Empty.empty(op)}')\")",
    ],
}
NOT_ON_CITUS = {
    "a trigger": "no triggers",
    "a deferred trigger": "no triggers",
    "statements of many kinds": "no rules",
    "keys and defaults from the server": "no VALUES with a subquery",
    "a CTE that deletes, and notifications": "no NOTIFY together with another machine's rows",
}
CACHE = """
import functools


@functools.cache
def count_items():
    return op.get_bind().scalar(sa.text("SELECT count(*) FROM items"))
"""


def make_tenants(name: str, folder: Path) -> None:
    """Make a database with all tenants and their rows."""
    create_database(name)
    url = server_url(name).render_as_string(hide_password=False)
    engine = connect(Settings(_env_file=None, environment="development", database_url=url))
    with pytest.MonkeyPatch.context() as patch:
        service = Service(engine, folder / "migrations", patch)
        service.make(*MIGRATED, *ALONE)
        fill(service)
    engine.dispose()


@pytest.fixture(autouse=True)
def no_operation_stays_registered() -> Iterator[None]:
    """A body registers an operation, which other tests must not meet."""
    before = set(vars(Operations))
    yield
    for name in set(vars(Operations)) - before:
        delattr(Operations, name)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a database with all tenants and their rows, to copy."""
    name = f"filled_{uuid4().hex}"
    make_tenants(name, tmp_path_factory.mktemp("filled"))
    yield name
    drop_database(name)


@pytest.fixture
def address(filled: str) -> Iterator[str]:
    """The address of a copy of it."""
    name = f"tenants_{uuid4().hex}"
    create_database(name, template=filled)
    yield server_url(name).render_as_string(hide_password=False)
    drop_database(name)


@pytest.mark.parametrize("name", [*REPLAYABLE, *NOT_REPLAYABLE])
def test_replayed_tenants_equal_tenants_migrated_by_alembic(service: Service, name: str) -> None:
    if on_cluster() and name in NOT_ON_CITUS:
        pytest.skip(f"On Citus: {NOT_ON_CITUS[name]}")
    body = REPLAYABLE.get(name) or NOT_REPLAYABLE[name]
    service.add(body, extra=CACHE if "cache" in name else "")
    for tenant in ALONE:
        result = service.one(tenant)
        assert result.success, result.error
    replayed = replays(service)
    run = service.all()
    assert run.success, run.failed[0].error
    assert set(service.statuses().values()) == {("ready", "003")}
    after = dump(service)
    for tenant, alone in zip(MIGRATED, ALONE, strict=True):
        assert after[tenant] == after[alone]
        assert history(service, tenant) == history(service, alone)
    assert len(replayed) == (3 if name in REPLAYABLE else 0)


def test_an_error_at_the_commit_fails_in_a_replay_too(
    service: Service,
) -> None:
    service.add(
        [
            'op.execute("ALTER TABLE children ADD FOREIGN KEY (parent_id) REFERENCES parents'
            ' DEFERRABLE INITIALLY DEFERRED")',
            'op.execute("ALTER TABLE children DROP CONSTRAINT children_parent_id_fkey")',
            'op.execute("UPDATE children SET parent_id = 4711")',
        ]
    )
    replayed = replays(service)
    run = service.all()
    assert len(replayed) > 0
    with_rows = {*MIGRATED[2:], *ALONE[2:]}
    assert {result.tenant for result in run.failed} == with_rows
    assert all("violates foreign key" in str(result.error) for result in run.failed)
    statuses = service.statuses()
    assert {
        tenant for tenant, status in statuses.items() if status == ("failed", "002")
    } == with_rows


def test_a_rollback_of_all_tenants_equals_rollbacks_of_single_tenants(service: Service) -> None:
    loop = NOT_REPLAYABLE["a loop until rowcount is zero"]
    service.add('op.execute("ALTER TABLE items ADD n int")', loop)
    service.add(
        'op.execute("ALTER TABLE parents ADD n int")', REPLAYABLE["a DO block that depends on rows"]
    )
    assert service.all().success
    for tenant in ALONE:
        result = rollback_tenant(service.engine, tenant, config=service.config)
        assert len(result.raise_for_error().migrations) == 2
    replayed = replays(service)
    run = rollback_all_tenants(service.engine, config=service.config)
    assert run.success, run.failed[0].error
    after = dump(service)
    for tenant, alone in zip(MIGRATED, ALONE, strict=True):
        assert after[tenant] == after[alone]
        assert history(service, tenant) == history(service, alone)
    assert replayed == []  # one of the two observes something
