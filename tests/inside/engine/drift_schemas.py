"""Schemas with one object of every kind, which the tests change by hand."""

from __future__ import annotations

from pathlib import Path

# Roles belong to the server: another test may have made them.
ROLES = """
DO $$BEGIN
    IF to_regrole('drift_reader') IS NULL THEN CREATE ROLE drift_reader; END IF;
    IF to_regrole('drift_owner') IS NULL THEN CREATE ROLE drift_owner; END IF;
END$$
"""

POSTGRESQL = r"""
CREATE TYPE mood AS ENUM ('sad', 'o''k', 'happy');
CREATE TYPE pair AS (a integer, b mood);
CREATE TYPE span AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE DOMAIN posint AS integer DEFAULT 4 CONSTRAINT positive CHECK (VALUE > 0);
CREATE COLLATION plain (provider = libc, locale = 'C');
CREATE SEQUENCE tickets AS integer START 8 CACHE 4;
CREATE FUNCTION plus(x integer, y integer DEFAULT 3) RETURNS integer LANGUAGE sql IMMUTABLE
    AS 'SELECT x + y';
CREATE FUNCTION atomic(m mood) RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT m::text || '!'; END;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- it's new

    NEW.seen = now();
    RETURN NEW;
END$$;
CREATE FUNCTION here() RETURNS text LANGUAGE plpgsql SET search_path = {schema}, pg_temp AS $$
BEGIN
    EXECUTE 'DELETE FROM {schema}.users';
    RETURN (SELECT max(name) FROM {schema}.users);
END$$;
CREATE PROCEDURE tidy(INOUT a integer) LANGUAGE plpgsql AS $$BEGIN a := 1; END$$;
CREATE AGGREGATE total(integer) (sfunc = int4pl, stype = integer, initcond = '0');
CREATE FUNCTION mood_eq(mood, mood) RETURNS boolean LANGUAGE sql IMMUTABLE
    AS 'SELECT $1::text = $2::text';
CREATE FUNCTION mood_hash(mood) RETURNS integer LANGUAGE sql IMMUTABLE
    AS 'SELECT hashtext($1::text)';
CREATE OPERATOR === (leftarg = mood, rightarg = mood, function = mood_eq, commutator = ===);
CREATE OPERATOR CLASS mood_ops FOR TYPE mood USING hash
    AS OPERATOR 1 ===(mood, mood), FUNCTION 1 mood_hash(mood);
CREATE CAST (pair AS text) WITH INOUT AS ASSIGNMENT;
CREATE TEXT SEARCH DICTIONARY words (template = pg_catalog.simple, stopwords = english);
CREATE TEXT SEARCH CONFIGURATION search (parser = pg_catalog.default);
ALTER TEXT SEARCH CONFIGURATION search ADD MAPPING FOR asciiword WITH words, pg_catalog.simple;

CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email varchar(254) NOT NULL,
    name text COLLATE "C" NOT NULL DEFAULT '',
    age integer CONSTRAINT users_age_check CHECK (age > 0),
    state mood DEFAULT 'sad',
    moods mood[],
    score posint,
    upper_name text GENERATED ALWAYS AS (upper(name)) STORED,
    seen timestamptz DEFAULT '2020-01-01 00:00+00',
    note text DEFAULT 'see public.users',
    number serial
);
CREATE UNIQUE INDEX users_email_idx ON users (lower(email));
CREATE INDEX users_age_idx ON users (age) WHERE age > 18;
CREATE INDEX users_name_idx ON users (name);
CREATE STATISTICS users_stats (ndistinct) ON name, age FROM users;
CREATE TRIGGER touch BEFORE UPDATE OF name ON users FOR EACH ROW EXECUTE FUNCTION touch();
CREATE POLICY own ON users FOR UPDATE USING (name = current_user) WITH CHECK (age > 2);
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE TABLE orders (
    id integer CONSTRAINT orders_pkey PRIMARY KEY,
    user_id bigint NOT NULL CONSTRAINT orders_user_id_fkey REFERENCES users ON DELETE CASCADE,
    placed date NOT NULL,
    total numeric(12, 2),
    during int4range,
    CONSTRAINT orders_placed_key UNIQUE (placed),
    CONSTRAINT orders_during_excl EXCLUDE USING gist (during WITH &&)
) WITH (fillfactor = 70);
CREATE VIEW grown AS SELECT u.id, o.total FROM users u JOIN orders o ON o.user_id = u.id;
CREATE VIEW names AS SELECT id, name FROM users WHERE age > 2;
CREATE VIEW both_ids AS SELECT users.id, orders.placed FROM users, orders
    WHERE users.name <> 'users.id';
CREATE MATERIALIZED VIEW per_state AS SELECT count(*) AS n, state FROM users GROUP BY state;
CREATE INDEX per_state_idx ON per_state (n);
CREATE RULE nothing AS ON INSERT TO grown DO INSTEAD NOTHING;
CREATE TABLE parts (k integer, v text) PARTITION BY RANGE (k);
CREATE INDEX parts_v_idx ON parts (v);
CREATE TRIGGER parts_touch BEFORE INSERT ON parts FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE TABLE parts_rest PARTITION OF parts DEFAULT;
CREATE TABLE base (a integer);
CREATE TABLE child (b integer) INHERITS (base);
CREATE TABLE typed OF pair;
COMMENT ON TABLE users IS 'The people';
COMMENT ON COLUMN users.name IS 'What they are called';
GRANT SELECT ON orders TO drift_reader;
GRANT UPDATE (name) ON users TO drift_reader;
GRANT USAGE ON SCHEMA {schema} TO drift_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO drift_reader;
"""

# Objects of the whole database.
DATABASE = """
CREATE PUBLICATION feed FOR TABLE orders;
CREATE FOREIGN DATA WRAPPER far;
CREATE SERVER there FOREIGN DATA WRAPPER far;
CREATE FOREIGN TABLE remote (a integer) SERVER there;
CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER watcher ON ddl_command_end WHEN TAG IN ('DROP TABLE')
    EXECUTE FUNCTION watch();
"""

SQLITE = """
CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    email VARCHAR(254) NOT NULL UNIQUE,
    name TEXT DEFAULT '' NOT NULL,
    age INTEGER CONSTRAINT grown CHECK (age > 0),
    upper_name TEXT GENERATED ALWAYS AS (upper(name)) VIRTUAL,
    nick TEXT COLLATE NOCASE,
    state TEXT DEFAULT 'new'
);
CREATE INDEX users_age_idx ON users (age, name DESC) WHERE age > 18;
CREATE UNIQUE INDEX users_nick_idx ON users (lower(nick));
CREATE TABLE orders (
    id INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    total NUMERIC(12, 2),
    CONSTRAINT orders_pk PRIMARY KEY (id),
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT total_known CHECK (total IS NOT NULL)
);
CREATE TABLE codes (code TEXT PRIMARY KEY, n INT) WITHOUT ROWID, STRICT;
CREATE VIEW grown AS SELECT id, name FROM users WHERE age > 18;
CREATE TRIGGER touch AFTER UPDATE OF age ON users WHEN NEW.age > 3
BEGIN
    UPDATE users SET state = 'old' WHERE id = NEW.id;
END;
CREATE VIRTUAL TABLE words USING fts5(word);
"""


def drifts(database: str) -> list[tuple[str, list[str]]]:
    """Statements, each with the expected sentences about its effect."""
    cases: list[tuple[str, list[str]]] = []
    path = Path(__file__).with_name(f"drifts_{database}.txt")
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("    > "):
            cases[-1][1].append(line.removeprefix("    > "))
        elif line and not line.startswith("#"):
            cases.append((line, []))
    return cases
