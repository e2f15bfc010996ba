"""Manual changes of a SQLite database are found and described; spelling and maintenance are not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from my_service.migrate.drift import Snapshot, compare, read_fingerprints, take_snapshot

from engine.drift_schemas import SQLITE, drifts
from engine.support import KIND

pytestmark = pytest.mark.skipif(KIND != "sqlite", reason="this is SQLite's")

QUIET = [
    "ALTER TABLE users RENAME TO x; ALTER TABLE x RENAME TO users",
    "ALTER TABLE users RENAME COLUMN name TO x; ALTER TABLE users RENAME COLUMN x TO name",
    "ALTER TABLE users ADD COLUMN x TEXT; ALTER TABLE users DROP COLUMN x",
    # The last column is the first one again.
    "ALTER TABLE users DROP COLUMN state; ALTER TABLE users ADD state text default ('new')",
    "DROP INDEX users_age_idx;"
    ' create index if not exists "USERS_AGE_IDX" on [users] (`age` ASC, name desc) where (age>18)',
    "DROP VIEW grown; CREATE VIEW grown AS SELECT id,name -- both\nFROM Users WHERE age  >18",
    "DROP VIEW grown; CREATE VIEW IF NOT EXISTS main.grown AS /* x */ select id, name from users"
    " where age > 18",
    "DROP TRIGGER touch; CREATE TRIGGER main.touch AFTER UPDATE OF age ON users FOR EACH ROW"
    " WHEN NEW.age>3 BEGIN update Users set state='old' where id=new.id; END",
    "INSERT INTO users (email) VALUES ('a'); DELETE FROM users",
    "VACUUM",
    "ANALYZE",
    "REINDEX",
    "PRAGMA user_version = 5",
    "CREATE TEMP TABLE users (x); CREATE TEMP TRIGGER t AFTER INSERT ON orders BEGIN SELECT 1; END",
    "CREATE TABLE alembic_version (x); CREATE INDEX i ON alembic_version (x);"
    " CREATE TABLE migration_history (id INTEGER PRIMARY KEY AUTOINCREMENT);"
    " CREATE TABLE knex_migrations (id); CREATE TABLE knex_migrations_lock (i)",
]
# Two ways to write the same thing.
SPELLINGS = [
    ("INTEGER PRIMARY KEY AUTOINCREMENT,", "integer  primary\tkey asc autoincrement /* x */ ,"),
    ("email VARCHAR(254) NOT NULL UNIQUE", '"email" varchar ( 254 ) UNIQUE not null'),
    ("state TEXT DEFAULT 'new'\n", "[state] TEXT NULL DEFAULT ('new'), CHECK (1)\n"),
    ("DEFAULT ''", "DEFAULT\n''"),
    ("state TEXT DEFAULT 'new'", 'state TEXT DEFAULT "new"'),
    ("CONSTRAINT grown CHECK (age > 0)", "constraint `Grown` check ( (age>0) )"),
    ("GENERATED ALWAYS AS (upper(name)) VIRTUAL", "AS (UPPER(name))"),
    ("    id INTEGER NOT NULL,", "    id INTEGER NOT NULL CONSTRAINT orders_pk PRIMARY KEY,"),
    ("CONSTRAINT orders_pk PRIMARY KEY (id)", "CONSTRAINT orders_pk PRIMARY KEY (id ASC)"),
    (
        "    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,\n",
        "    FOREIGN KEY(user_id) REFERENCES [users](id) ON UPDATE NO ACTION ON DELETE CASCADE"
        " NOT DEFERRABLE INITIALLY IMMEDIATE,\n",
    ),
    (
        "user_id INTEGER NOT NULL,",
        "user_id INTEGER REFERENCES users (id) ON DELETE CASCADE NOT NULL,",
    ),
    ("total IS NOT NULL)\n", "total is not null) -- known\n"),
    ("WITHOUT ROWID, STRICT", "STRICT, without rowid"),
    ("code TEXT PRIMARY KEY, n INT", 'n INT, "code" TEXT, PRIMARY KEY ("code")'),
]
# Pairs of equivalent schemas.
OTHER_SPELLINGS = [
    ("CREATE TABLE t (a INT DEFAULT NULL)", "CREATE TABLE t (a INT)"),
    ("CREATE TABLE t (a TEXT COLLATE BINARY)", "CREATE TABLE t (a TEXT)"),
    (
        "CREATE TABLE t (a INT NOT NULL ON CONFLICT ABORT UNIQUE ON CONFLICT ABORT)",
        "CREATE TABLE t (a INT UNIQUE NOT NULL)",
    ),
    (
        "CREATE TABLE t (a INT); CREATE TRIGGER g INSERT ON t BEGIN SELECT 1; END",
        "CREATE TABLE t (a INT); CREATE TRIGGER g BEFORE INSERT ON t BEGIN SELECT 1; END",
    ),
    (
        "CREATE TABLE t (a INT); ALTER TABLE t ADD COLUMN b TEXT DEFAULT 'x' NOT NULL",
        "CREATE TABLE t (a INT, b TEXT NOT NULL DEFAULT 'x')",
    ),
    (
        'CREATE TABLE "a b" (x INT PRIMARY KEY); CREATE TABLE t (a INT REFERENCES "a b" ON DELETE'
        " CASCADE, t INT PRIMARY KEY, b INT REFERENCES t)",
        'CREATE TABLE "a b" (x INT PRIMARY KEY); CREATE TABLE t (a INT REFERENCES "a b" (x) ON DELETE'
        " CASCADE, t INT PRIMARY KEY, b INT, FOREIGN KEY (b) REFERENCES t (t))",
    ),
    ("CREATE TABLE t (a INT DEFAULT 1)", "CREATE TABLE t (a INT DEFAULT +1)"),
    ("CREATE TABLE t (a INT DEFAULT -1)", "CREATE TABLE t (a INT DEFAULT - 1)"),
    ("CREATE TABLE t (a INT DEFAULT 1)", "CREATE TABLE t (a INT DEFAULT (1))"),
    ("CREATE TABLE t (a INT DEFAULT -1)", "CREATE TABLE t (a INT DEFAULT (-1))"),
    ("CREATE TABLE t (a REAL DEFAULT 1e3)", "CREATE TABLE t (a REAL DEFAULT 1E3)"),
    ("CREATE TABLE t (a DEFAULT x'0a')", "CREATE TABLE t (a DEFAULT X'0A')"),
    (
        "CREATE TABLE t (a DEFAULT CURRENT_TIMESTAMP)",
        "CREATE TABLE t (a DEFAULT (CURRENT_TIMESTAMP))",
    ),
    ("CREATE TABLE t (a DEFAULT true)", "CREATE TABLE t (a DEFAULT TRUE)"),
    ("CREATE TABLE t (a INT)", "CREATE TABLE t (a int)"),
    ("CREATE TABLE t (a VARCHAR(10))", "CREATE TABLE t (a varchar ( 10 ))"),
    ("CREATE TABLE t (a INTEGER PRIMARY KEY)", "CREATE TABLE t (a INTEGER, PRIMARY KEY (a))"),
    (
        "CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT)",
        "CREATE TABLE t (a INTEGER, PRIMARY KEY (a AUTOINCREMENT))",
    ),
    ("CREATE TABLE t (a INT UNIQUE)", "CREATE TABLE t (a INT, UNIQUE (a))"),
    ("CREATE TABLE t (a INT CHECK (a>0))", "CREATE TABLE t (a INT, CHECK (a>0))"),
    ("CREATE TABLE t (a INT CHECK (a>0))", "CREATE TABLE t (a INT, CHECK (a > 0) /* x */ )"),
    (
        "CREATE TABLE t (a INT REFERENCES x(b))",
        "CREATE TABLE t (a INT, FOREIGN KEY (a) REFERENCES x (b))",
    ),
    (
        "CREATE TABLE t (a INT REFERENCES x(b) MATCH SIMPLE)",
        "CREATE TABLE t (a INT REFERENCES x (b))",
    ),
    ("CREATE TABLE t (a INT NOT NULL)", "CREATE TABLE t (a INT CONSTRAINT nn NOT NULL)"),
    ("CREATE TABLE t (a INT)", "CREATE TABLE t (a INT NULL)"),
    ("CREATE TABLE t (a INT)", "CREATE TEMP TABLE q (x); CREATE TABLE main.t (a INT)"),
    ("CREATE TABLE t (a INT)", "CREATE TABLE IF NOT EXISTS t (a INT)"),
    ("CREATE TABLE t (a INT)", 'CREATE TABLE "t" ([a] INT)'),
    ("CREATE TABLE t (a INT)", "CREATE TABLE T (A INT)"),
    ("CREATE TABLE t (a INT); CREATE TABLE u (b)", "CREATE TABLE u (b); CREATE TABLE t (a INT)"),
    (
        "CREATE TABLE t (a INT, b TEXT);CREATE INDEX i ON t (a)",
        "CREATE TABLE t (a INT, b TEXT);CREATE INDEX main.i ON t (a ASC)",
    ),
    (
        "CREATE TABLE t (a INT, b TEXT);CREATE INDEX i ON t (a) WHERE (b > 1)",
        "CREATE TABLE t (a INT, b TEXT);CREATE INDEX i ON t (a) WHERE b > 1",
    ),
    (
        "CREATE TABLE t (a INT, b TEXT);CREATE INDEX i ON t (a) WHERE b != 1",
        "CREATE TABLE t (a INT, b TEXT);CREATE INDEX i ON t (a) WHERE b <> 1",
    ),
    (
        "CREATE TABLE t (a INT, b TEXT);CREATE INDEX i ON t (a COLLATE nocase)",
        "CREATE TABLE t (a INT, b TEXT);CREATE INDEX i ON t (a COLLATE NOCASE)",
    ),
    (
        "CREATE TABLE t (a INT, b TEXT);CREATE VIEW v AS SELECT a FROM t",
        "CREATE TABLE t (a INT, b TEXT);CREATE VIEW v AS SELECT a FROM t;",
    ),
    (
        "CREATE TABLE t (a INT, b TEXT);CREATE VIEW v AS SELECT a, b FROM t",
        "CREATE TABLE t (a INT, b TEXT);CREATE VIEW v AS SELECT a,\n\tb\nFROM t -- x",
    ),
    (
        "CREATE TABLE t (a INT, b TEXT);CREATE TRIGGER g AFTER UPDATE ON t BEGIN SELECT 1; END",
        "CREATE TABLE t (a INT, b TEXT);CREATE TRIGGER IF NOT EXISTS g AFTER UPDATE ON t FOR EACH ROW BEGIN SELECT 1; END",
    ),
    ("CREATE TABLE t (a INT, b INT); ALTER TABLE t DROP COLUMN b", "CREATE TABLE t (a INT)"),
    (
        "CREATE TABLE t (a INT); ALTER TABLE t ADD COLUMN b TEXT NOT NULL DEFAULT ''",
        "CREATE TABLE t (a INT, b TEXT NOT NULL DEFAULT '')",
    ),
    (
        "CREATE TABLE t (a INT); ALTER TABLE t ADD b TEXT REFERENCES x(y)",
        "CREATE TABLE t (a INT, b TEXT, FOREIGN KEY (b) REFERENCES x(y))",
    ),
    ("CREATE TABLE t (a INT); ALTER TABLE t RENAME COLUMN a TO b", "CREATE TABLE t (b INT)"),
    ("CREATE TABLE s (a INT); ALTER TABLE s RENAME TO t", "CREATE TABLE t (a INT)"),
    (
        "CREATE TABLE x (a INTEGER PRIMARY KEY); CREATE TABLE t (a INT REFERENCES x)",
        "CREATE TABLE x (a INTEGER PRIMARY KEY); CREATE TABLE t (a INT REFERENCES x (a))",
    ),
    (
        "CREATE TABLE t (a INT, b AS (a + 1))",
        "CREATE TABLE t (a INT, b GENERATED ALWAYS AS (a+1) VIRTUAL)",
    ),
    (
        "CREATE TABLE t (a INT PRIMARY KEY) WITHOUT ROWID",
        "CREATE TABLE t (a INT PRIMARY KEY)without  rowid",
    ),
    ("CREATE TABLE t (a INT, CHECK (a IN (1, 2)))", "CREATE TABLE t (a INT, CHECK (a in (1,2)))"),
    ("CREATE TABLE t (a INT, CHECK (a == 1))", "CREATE TABLE t (a INT, CHECK (a = 1))"),
    ("CREATE TABLE t (a INT, UNIQUE (a), UNIQUE (a))", "CREATE TABLE t (a INT, UNIQUE (a))"),
    ("CREATE TABLE t (a INT DEFAULT NULL)", "CREATE TABLE t (a INT DEFAULT (NULL))"),
    ("CREATE TABLE t (a INT PRIMARY KEY ON CONFLICT ABORT)", "CREATE TABLE t (a INT PRIMARY KEY)"),
    (
        "CREATE TABLE t (a INT REFERENCES x(b) ON DELETE NO ACTION DEFERRABLE)",
        "CREATE TABLE t (a INT REFERENCES x(b))",
    ),
    (
        "CREATE TABLE t (a INT REFERENCES x(b) DEFERRABLE INITIALLY IMMEDIATE)",
        "CREATE TABLE t (a INT REFERENCES x(b))",
    ),
    ("CREATE TABLE t (a TEXT COLLATE nocase)", "CREATE TABLE t (a TEXT COLLATE NOCASE)"),
    (
        "CREATE TABLE t (a INT, CONSTRAINT c CHECK (a > 0))",
        "CREATE TABLE t (a INT CONSTRAINT c CHECK (a > 0))",
    ),
    (
        "CREATE VIRTUAL TABLE w USING fts5(a)",
        "CREATE VIRTUAL TABLE IF NOT EXISTS w USING FTS5 ( a )",
    ),
]
# Pairs of schemas that behave differently.
OTHERS = [
    ("CREATE TABLE t (a INT DEFAULT 1)", "CREATE TABLE t (a INT DEFAULT -1)"),
    ("CREATE TABLE t (a INT DEFAULT 1)", "CREATE TABLE t (a INT DEFAULT '1')"),
    ("CREATE TABLE t (a INT DEFAULT 1)", "CREATE TABLE t (a INT DEFAULT 1.0)"),
    ("CREATE TABLE t (a DEFAULT x'00')", "CREATE TABLE t (a DEFAULT x'01')"),
    ("CREATE TABLE t (a DEFAULT CURRENT_TIMESTAMP)", "CREATE TABLE t (a DEFAULT CURRENT_DATE)"),
    ("CREATE TABLE t (a DEFAULT (1+1))", "CREATE TABLE t (a DEFAULT (1-1))"),
    ("CREATE TABLE t (a DEFAULT true)", "CREATE TABLE t (a DEFAULT false)"),
    ("CREATE TABLE t (a INTEGER PRIMARY KEY)", "CREATE TABLE t (a INTEGER PRIMARY KEY DESC)"),
    ("CREATE TABLE t (a INTEGER PRIMARY KEY)", "CREATE TABLE t (a INT PRIMARY KEY)"),
    ("CREATE TABLE t (a, b, PRIMARY KEY (a,b))", "CREATE TABLE t (a, b, PRIMARY KEY (b,a))"),
    (
        "CREATE TABLE t (a, b, PRIMARY KEY (a,b))",
        "CREATE TABLE t (a, b, PRIMARY KEY (a COLLATE NOCASE,b))",
    ),
    ("CREATE TABLE t (a, b, UNIQUE (a))", "CREATE TABLE t (a, b, UNIQUE (a COLLATE NOCASE))"),
    ("CREATE TABLE t (a, b, UNIQUE (a) ON CONFLICT REPLACE)", "CREATE TABLE t (a, b, UNIQUE (a))"),
    ("CREATE TABLE t (a NOT NULL ON CONFLICT IGNORE)", "CREATE TABLE t (a NOT NULL)"),
    ("CREATE TABLE t (a PRIMARY KEY ON CONFLICT REPLACE)", "CREATE TABLE t (a PRIMARY KEY)"),
    ("CREATE TABLE t (a REFERENCES x ON UPDATE CASCADE)", "CREATE TABLE t (a REFERENCES x)"),
    (
        "CREATE TABLE t (a REFERENCES x DEFERRABLE INITIALLY DEFERRED)",
        "CREATE TABLE t (a REFERENCES x NOT DEFERRABLE INITIALLY DEFERRED)",
    ),
    ("CREATE TABLE t (a REFERENCES x (b))", "CREATE TABLE t (a REFERENCES x (c))"),
    (
        "CREATE TABLE t (a, b, FOREIGN KEY (a,b) REFERENCES x (c,d))",
        "CREATE TABLE t (a, b, FOREIGN KEY (a,b) REFERENCES x (d,c))",
    ),
    ("CREATE TABLE t (a, b AS (a+1))", "CREATE TABLE t (a, b AS (a+1) STORED)"),
    ("CREATE TABLE t (a, b AS (a+1))", "CREATE TABLE t (a, b DEFAULT (1))"),
    ("CREATE TABLE t (a, b INT AS (a+1))", "CREATE TABLE t (a, b TEXT AS (a+1))"),
    (
        "CREATE TABLE t (a INT, b TEXT);CREATE INDEX i ON t (a)",
        "CREATE TABLE t (a INT, b TEXT);CREATE INDEX i ON t (a COLLATE NOCASE)",
    ),
    (
        "CREATE TABLE t (a INT, b TEXT);CREATE INDEX i ON t (a)",
        "CREATE TABLE t (a INT, b TEXT);CREATE INDEX i ON t (a+0)",
    ),
    (
        "CREATE TABLE t (a INT, b TEXT);CREATE INDEX i ON t (a,b)",
        "CREATE TABLE t (a INT, b TEXT);CREATE INDEX i ON t (a)",
    ),
    (
        "CREATE TABLE t (a INT, b TEXT);CREATE INDEX i ON t (a)",
        "CREATE TABLE t (a INT, b TEXT);CREATE UNIQUE INDEX i ON t (a)",
    ),
    (
        "CREATE TABLE t (a INT, b TEXT);CREATE INDEX i ON t (a) WHERE b='x'",
        "CREATE TABLE t (a INT, b TEXT);CREATE INDEX i ON t (a) WHERE b='X'",
    ),
    (
        "CREATE TABLE t (a INT, b TEXT);CREATE TABLE u (a); CREATE INDEX i ON t (a)",
        "CREATE TABLE t (a INT, b TEXT);CREATE TABLE u (a); CREATE INDEX i ON u (a)",
    ),
    (
        "CREATE TABLE t (a INT, b TEXT);CREATE VIEW v (x) AS SELECT a FROM t",
        "CREATE TABLE t (a INT, b TEXT);CREATE VIEW v (y) AS SELECT a FROM t",
    ),
    (
        "CREATE TABLE t (a INT, b TEXT);CREATE VIEW v AS SELECT a FROM t",
        "CREATE TABLE t (a INT, b TEXT);CREATE VIEW v AS SELECT DISTINCT a FROM t",
    ),
    (
        "CREATE TABLE t (a INT, b TEXT);CREATE VIEW v AS SELECT a FROM t WHERE b = 'x--y'",
        "CREATE TABLE t (a INT, b TEXT);CREATE VIEW v AS SELECT a FROM t WHERE b = 'x'",
    ),
    (
        "CREATE TABLE t (a INT, b TEXT);CREATE VIEW v AS SELECT a FROM t WHERE b LIKE 'A'",
        "CREATE TABLE t (a INT, b TEXT);CREATE VIEW v AS SELECT a FROM t WHERE b LIKE 'a'",
    ),
    (
        "CREATE TABLE t (a INT, b TEXT);CREATE TRIGGER g AFTER UPDATE ON t BEGIN SELECT 1; END",
        "CREATE TABLE t (a INT, b TEXT);CREATE TRIGGER g AFTER UPDATE OF a ON t BEGIN SELECT 1; END",
    ),
    (
        "CREATE TABLE t (a INT, b TEXT);CREATE TRIGGER g AFTER DELETE ON t BEGIN SELECT RAISE(ABORT,'x'); END",
        "CREATE TABLE t (a INT, b TEXT);CREATE TRIGGER g AFTER DELETE ON t BEGIN SELECT RAISE(FAIL,'x'); END",
    ),
    (
        "CREATE TABLE t (a INT, b TEXT);CREATE VIEW v AS SELECT a FROM t; CREATE TRIGGER g INSTEAD OF INSERT ON v BEGIN SELECT 1; END",
        "CREATE TABLE t (a INT, b TEXT);CREATE VIEW v AS SELECT a FROM t; CREATE TRIGGER g INSTEAD OF DELETE ON v BEGIN SELECT 1; END",
    ),
    ("CREATE TABLE t (a INT) STRICT", "CREATE TABLE t (a INT)"),
    ("CREATE TABLE t (a ANY) STRICT", "CREATE TABLE t (a TEXT) STRICT"),
    ("CREATE TABLE t (a INT NULL)", "CREATE TABLE t (a INT NOT NULL)"),
    (
        "CREATE TABLE t (a TEXT COLLATE NOCASE COLLATE RTRIM)",
        "CREATE TABLE t (a TEXT COLLATE NOCASE)",
    ),
    ("CREATE TABLE t (a INT CONSTRAINT x NOT NULL)", "CREATE TABLE t (a INT CONSTRAINT x NULL)"),
    (
        "CREATE VIRTUAL TABLE w USING fts5(a, prefix='2 3')",
        "CREATE VIRTUAL TABLE w USING fts5(a, prefix='2')",
    ),
    (
        "CREATE VIRTUAL TABLE w USING fts5(A, content='t')",
        "CREATE VIRTUAL TABLE w USING fts5(A, content='T2')",
    ),
    (
        "CREATE VIRTUAL TABLE w USING rtree(id, a, b)",
        "CREATE VIRTUAL TABLE w USING rtree_i32(id, a, b)",
    ),
    ('CREATE TABLE t ("a b" INT)', 'CREATE TABLE t ("a  b" INT)'),
    ('CREATE TABLE t (a "VARCHAR (3)")', "CREATE TABLE t (a VARCHAR(4))"),
    (
        "CREATE TABLE t (a INT CHECK (a > 0 AND a < 5))",
        "CREATE TABLE t (a INT CHECK (a > 0 OR a < 5))",
    ),
    ("CREATE TABLE t (a INT, CHECK (a in ('A')))", "CREATE TABLE t (a INT, CHECK (a in ('a')))"),
    (
        "CREATE TABLE t (a TEXT DEFAULT ('a' || 'b'))",
        "CREATE TABLE t (a TEXT DEFAULT ('a' || 'B'))",
    ),
    (
        "CREATE TABLE t (a, b, CONSTRAINT c CHECK (a>0), CONSTRAINT d CHECK (b>0))",
        "CREATE TABLE t (a, b, CONSTRAINT d CHECK (a>0), CONSTRAINT c CHECK (b>0))",
    ),
    ("CREATE TABLE t (a INT, b TEXT);", "CREATE TABLE t (a INT, b CLOB)"),
    (
        "CREATE TABLE t (a INT GENERATED ALWAYS AS (1) VIRTUAL NOT NULL, b)",
        "CREATE TABLE t (a INT GENERATED ALWAYS AS (1) VIRTUAL, b)",
    ),
    (
        "CREATE TABLE t (a INT, b INT, FOREIGN KEY (a) REFERENCES x(y) MATCH FULL ON DELETE RESTRICT)",
        "CREATE TABLE t (a INT, b INT, FOREIGN KEY (a) REFERENCES x(y) MATCH FULL)",
    ),
]
# Other replacements, so that the second form does not exist twice.
_ALSO = {
    "state TEXT DEFAULT 'new'\n": (", CHECK (1)", ""),
    "    id INTEGER NOT NULL,": ("    CONSTRAINT orders_pk PRIMARY KEY (id),\n", ""),
    "user_id INTEGER NOT NULL,": (
        "    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,\n",
        "",
    ),
}

Take = Callable[..., Snapshot]


@pytest.fixture
def take() -> Take:
    """Takes a snapshot of a new database after these statements."""

    def take(*scripts: str, column_order: bool = False) -> Snapshot:
        with sa.create_engine("sqlite://", poolclass=sa.NullPool).connect() as connection:
            for script in scripts:
                connection.connection.driver_connection.executescript(script)
            found = take_snapshot(connection, "main", column_order=column_order)
            if not column_order:
                assert read_fingerprints(connection, ["main"]) == {"main": found.fingerprint}
            return found

    return take


def sentences_of(right: Snapshot, found: Snapshot) -> list[str]:
    differences = [str(difference) for difference in compare(right, found)]
    assert bool(differences) == (right.fingerprint != found.fingerprint)
    return differences


@pytest.mark.parametrize(("statement", "sentences"), drifts("sqlite"))
def test_manual_changes_are_found_and_described(
    take: Take, statement: str, sentences: list[str]
) -> None:
    if statement.startswith("INSTEAD of "):
        old, _, new = statement.removeprefix("INSTEAD of ").partition(": ")
        assert old in SQLITE
        found = take(SQLITE.replace(old, new))
    else:
        found = take(SQLITE, statement)
    assert sentences and sentences_of(take(SQLITE), found) == sentences


@pytest.mark.parametrize("statement", QUIET)
def test_statements_without_effect_on_the_schema_are_not_drift(take: Take, statement: str) -> None:
    assert sentences_of(take(SQLITE), take(SQLITE, statement)) == []


@pytest.mark.parametrize(("usual", "other"), SPELLINGS)
def test_spelling_and_layout_do_not_matter(take: Take, usual: str, other: str) -> None:
    assert usual in SQLITE
    schema = SQLITE.replace(usual, other).replace(*_ALSO.get(usual, ("", "")))
    assert schema != SQLITE
    assert sentences_of(take(SQLITE), take(schema)) == []


@pytest.mark.parametrize(("one", "other"), OTHER_SPELLINGS)
def test_explicit_defaults_are_not_drift(take: Take, one: str, other: str) -> None:
    assert sentences_of(take(one), take(other)) == []


@pytest.mark.parametrize(("one", "other"), OTHERS)
def test_a_change_of_behaviour_is_drift(take: Take, one: str, other: str) -> None:
    assert sentences_of(take(one), take(other))


def test_the_order_of_creation_does_not_matter(take: Take) -> None:
    parts = ["CREATE TABLE a (x, y)", "CREATE TABLE b (z)", "CREATE INDEX i ON a (x)"]
    assert take(*parts) == take(parts[1], parts[0], parts[2])


def test_column_order_is_compared_on_request(take: Take) -> None:
    one, other = "CREATE TABLE a (x INT, y INT)", "CREATE TABLE a (y INT, x INT)"
    assert sentences_of(take(one), take(other)) == []
    assert sentences_of(take(one, column_order=True), take(other, column_order=True)) == [
        "table a has column order y, x; the migrations give x, y"
    ]


def test_names_that_are_sql_keywords_keep_their_quotes(take: Take) -> None:
    snapshot = take('CREATE TABLE "order" ("check" INTEGER, "select" TEXT DEFAULT "Ab", "a b" INT)')
    assert [(item.kind, item.name) for item in snapshot.items] == [
        ("column", '"order"."a b"'),
        ("column", '"order"."check"'),
        ("column", '"order"."select"'),
        ("table", '"order"'),
    ]
    assert snapshot.items[2].facts == {"type": "TEXT", "default": "'Ab'"}


def test_constraints_of_the_same_column_are_separate_items(take: Take) -> None:
    one = take(
        "CREATE TABLE a (x INT REFERENCES b (y) REFERENCES c (z) CHECK (x > 1) CHECK (x < 9))"
    )
    names = [item.name for item in one.items if item.kind == "constraint"]
    assert names == [
        "a.CHECK (x < 9)",
        "a.CHECK (x > 1)",
        "a.FOREIGN KEY (x) REFERENCES b(y)",
        "a.FOREIGN KEY (x) REFERENCES c(z)",
    ]


def test_an_attached_database_is_read_too() -> None:
    with sa.create_engine("sqlite://", poolclass=sa.NullPool).connect() as connection:
        connection.exec_driver_sql("ATTACH ':memory:' AS other")
        connection.exec_driver_sql("CREATE TABLE other.a (x)")
        assert [item.name for item in take_snapshot(connection, "other").items] == ["a.x", "a"]
        assert take_snapshot(connection, "main").items == ()
