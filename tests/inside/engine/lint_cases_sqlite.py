"""Risky and safe migrations for a live SQLite."""

from __future__ import annotations

from engine.lint_cases import ALONE, CONTRACT, Case, sql

SHOP = """
CREATE TABLE orgs (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(50) NOT NULL UNIQUE);
CREATE TABLE users (
    id INTEGER NOT NULL PRIMARY KEY,
    email VARCHAR(254) NOT NULL,
    name VARCHAR(100),
    age INTEGER CHECK (age > 0),
    is_active BOOLEAN DEFAULT 1 NOT NULL,
    org_id INTEGER REFERENCES orgs (id)
);
CREATE UNIQUE INDEX users_email_idx ON users (email);
CREATE INDEX users_active_idx ON users (is_active);
CREATE INDEX users_low_idx ON users (lower(name));
CREATE TRIGGER users_low AFTER INSERT ON users BEGIN SELECT 1; END;
CREATE VIEW names AS SELECT name FROM orgs;
CREATE TABLE plain (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(9));
CREATE INDEX plain_name_idx ON plain (name);
CREATE TABLE parents (id INTEGER NOT NULL PRIMARY KEY);
CREATE TABLE children (id INTEGER NOT NULL PRIMARY KEY,
    parent_id INTEGER NOT NULL REFERENCES parents (id) ON DELETE CASCADE);
CREATE TABLE settings (name TEXT NOT NULL PRIMARY KEY, value TEXT)
"""
SMALL_TABLES = ("settings",)


def batch(table: str, *lines: str) -> str:
    """A batch operation on a table."""
    return f'with op.batch_alter_table("{table}") as batch:\n    ' + "\n    ".join(lines)


RISKY: dict[str, Case] = {
    "a table rebuild": Case(
        batch("plain", 'batch.alter_column("name", type_=sa.String(99))'),
        codes="rewrites-table blocks-writes",
    ),
    "a table rebuild that loses a trigger and an index": Case(
        batch("users", 'batch.alter_column("name", nullable=False)'),
        codes="loses-objects rewrites-table blocks-writes breaks-old-code",
    ),
    "a table rebuild by separate statements": Case(
        sql(
            "CREATE TABLE other (id INTEGER NOT NULL PRIMARY KEY, name TEXT)",
            "INSERT INTO other SELECT id, name FROM plain",
            "DROP TABLE plain",
            "ALTER TABLE other RENAME TO plain",
        ),
        codes="touches-all-rows loses-objects rewrites-table blocks-writes",
    ),
    "a foreign key": Case(
        batch("plain", 'batch.add_column(sa.Column("org_id", sa.Integer))')
        + "\n"
        + batch("plain", 'batch.create_foreign_key("f", "orgs", ["org_id"], ["id"])'),
        codes="rewrites-table blocks-writes",
    ),
    "dropping a column that has an index": Case('op.drop_column("plain", "name")', codes="fails"),
    "dropping a column without an index": Case(
        'op.drop_column("children", "parent_id")', codes="breaks-old-code lossy"
    ),
    "renaming a column": Case(
        sql("ALTER TABLE plain RENAME COLUMN name TO label"), codes="breaks-old-code"
    ),
    "renaming a table": Case('op.rename_table("plain", "simple")', codes="breaks-old-code"),
    "dropping a table": Case('op.drop_table("children")', codes="breaks-old-code lossy"),
    "dropping a table on the driver's connection": Case(
        'op.get_bind().connection.dbapi_connection.execute("DROP TABLE children")',
        codes="breaks-old-code lossy",
    ),
    "a table replaced by a view": Case(
        sql("ALTER TABLE plain RENAME TO simple", "CREATE VIEW plain AS SELECT * FROM simple"),
        codes="breaks-old-code",
    ),
    "dropping a view": Case(sql("DROP VIEW names"), codes="breaks-old-code"),
    "dropping a trigger": Case(sql("DROP TRIGGER users_low"), codes="breaks-old-code"),
    "a new NOT NULL column without a default": Case(
        batch("plain", 'batch.add_column(sa.Column("nick", sa.Text, nullable=False))'),
        codes="fails-on-rows breaks-old-code",
    ),
    "a type change from text to datetime": Case(
        batch("plain", 'batch.alter_column("name", type_=sa.DateTime)'),
        codes="rewrites-table blocks-writes breaks-old-code",
    ),
    "dropping a table whose rows cascade to another": Case(
        sql("PRAGMA foreign_keys = ON", "DROP TABLE parents"),
        codes="breaks-old-code lossy",
        head=ALONE,
    ),
    "a PRAGMA that has no effect in a transaction": Case(
        sql("PRAGMA foreign_keys = OFF"), codes="needs-autocommit"
    ),
    "VACUUM inside a transaction": Case(sql("VACUUM"), codes="needs-autocommit"),
    "an UPDATE of all rows": Case(sql("UPDATE users SET age = 1"), codes="touches-all-rows"),
    "an UPDATE by an index with few distinct values": Case(
        sql("UPDATE users SET age = 1 WHERE is_active = 1"), codes="touches-all-rows"
    ),
    "an UPDATE from another table": Case(
        sql("UPDATE users SET name = (SELECT name FROM orgs WHERE orgs.id = users.org_id)"),
        codes="touches-all-rows",
    ),
    "an UPDATE with a subquery that counts": Case(
        sql("UPDATE users SET age = (SELECT count(*) FROM orgs)"), codes="touches-all-rows"
    ),
    "a DELETE of all rows": Case(sql("DELETE FROM plain"), codes="touches-all-rows"),
    "a SELECT of all rows": Case(
        "op.get_bind().execute(sa.text('SELECT id FROM users')).all()", codes="touches-all-rows"
    ),
    "no downgrade": Case(
        'op.add_column("plain", sa.Column("x", sa.Text))', "pass", "cannot-be-undone"
    ),
    "an index that the downgrade does not drop": Case(
        'op.create_index("x", "plain", ["id"])', "pass", "cannot-be-undone"
    ),
    "lint_ignore that matches nothing": Case(
        "pass", codes="unused-ignore", head='lint_ignore = {"lossy": "no"}'
    ),
}

SAFE: dict[str, Case] = {
    "a new table": Case(
        'op.create_table("new", sa.Column("id", sa.Integer, primary_key=True))\n'
        'op.create_index("new_idx", "new", ["id"])\n'
        'op.execute("INSERT INTO new SELECT 1")\nop.execute("UPDATE new SET id = 2")',
        'op.drop_table("new")',
    ),
    "a table rebuild of a new table": Case(
        'op.create_table("new", sa.Column("id", sa.Integer, primary_key=True))\n'
        + batch("new", 'batch.alter_column("id", type_=sa.BigInteger)'),
        'op.drop_table("new")',
    ),
    "a nullable column": Case(
        'op.add_column("users", sa.Column("x", sa.Text))',
        sql("ALTER TABLE users DROP COLUMN x"),
    ),
    "a nullable column in a batch operation": Case(
        batch("users", 'batch.add_column(sa.Column("x", sa.Text))'),
        sql("ALTER TABLE users DROP COLUMN x"),
    ),
    "a column with a default": Case(
        'op.add_column("users", sa.Column("n", sa.Integer, nullable=False, server_default="0"))',
        sql("ALTER TABLE users DROP COLUMN n"),
    ),
    "an index": Case('op.create_index("x", "plain", ["name"])', 'op.drop_index("x")'),
    "a new view and a trigger": Case(
        sql(
            "CREATE VIEW mails AS SELECT email FROM users",
            "CREATE TRIGGER t AFTER INSERT ON plain BEGIN SELECT 1; END",
        ),
        sql("DROP TRIGGER t", "DROP VIEW mails"),
    ),
    "recreating a view": Case(
        sql("DROP VIEW names", "CREATE VIEW names AS SELECT name, id FROM orgs"),
        sql("DROP VIEW names", "CREATE VIEW names AS SELECT name FROM orgs"),
    ),
    "a temporary table": Case(
        sql("CREATE TEMP TABLE t (x)", "INSERT INTO t VALUES (1)", "UPDATE t SET x = 2")
    ),
    "a SELECT with LIMIT 1": Case(
        "op.get_bind().scalar(sa.text('SELECT id FROM users ORDER BY name LIMIT 1'))"
    ),
    "an INSERT of one row": Case(sql("INSERT INTO orgs (name) VALUES ('a')")),
    "an UPDATE of one row": Case(sql("UPDATE users SET age = 1 WHERE id = 1")),
    "an UPDATE by a unique index": Case(sql("UPDATE users SET age = 1 WHERE email = 'a'")),
    "an UPDATE of a thousand rows": Case(
        sql("UPDATE users SET age = 1 WHERE id IN (SELECT id FROM users LIMIT 1000)"), head=ALONE
    ),
    "a SELECT count": Case("op.get_bind().scalar(sa.text('SELECT count(*) FROM users'))"),
    "a SELECT of one row by its key": Case(
        "op.get_bind().execute(sa.text('SELECT * FROM orgs WHERE id = 1'))"
    ),
    "VACUUM": Case(sql("VACUUM"), head=ALONE),
    "a small table": Case(
        batch("settings", 'batch.alter_column("value", type_=sa.String(9))')
        + '\nop.execute("UPDATE settings SET value = 1")'
    ),
    "a contract that drops a table": Case('op.drop_table("children")', head=CONTRACT),
    "an empty migration": Case("pass", "pass"),
}
