"""Applies every pattern of a migration guide, checks it and rolls it back.

It runs inside a generated service: ``python guide_patterns.py <database> <guide>``, on the database
of DATABASE_URL. In a multi-tenant service each pattern goes to three tenants: the third
replays what the others executed.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from my_service import migrate, migrations
from my_service.database.backend import connect
from my_service.errors import ActionableError
from my_service.settings import load_settings

PATTERN = "2030010100000"
TENANTS = ("acme", "globex", "initech")
HEAD = """
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = {after!r}

{body}
"""

# Statements with their results, for SQLite and for PostgreSQL. Their changes are undone.
Checks = dict[str, list[tuple[str, Any]]]
INDEX = {
    "sqlite": "SELECT count(*) FROM sqlite_master WHERE type = 'index' AND name = '{}'",
    "postgresql": "SELECT count(*) FROM pg_indexes WHERE schemaname = current_schema()"
    " AND indexname = '{}'",
}
VALID_KEY = (
    "SELECT count(*) FROM pg_constraint WHERE conname = '{}' AND convalidated"
    " AND connamespace = current_schema()::regnamespace"
)
COMMON: Checks = {
    "Adding a column": [
        ("SELECT count(*) FROM users WHERE plan = 'free' AND avatar_url IS NULL", 2)
    ],
    "Enums": [("SELECT count(*) FROM users WHERE plan = 'free'", 2)],
    "Renaming a column": [("SELECT count(full_name) FROM users", 2)],
    "Data migrations in chunks": [
        ("SELECT name FROM users WHERE email = 'grace@example.com'", "grace"),
        ("SELECT name FROM users WHERE email = 'ada@example.com'", "Ada"),
    ],
    "Transactions": [("SELECT count(*) FROM users WHERE email_domain = 'example.com'", 2)],
}
CHECKS: dict[str, Checks] = {
    "sqlite": {
        **COMMON,
        "Changing a column": [
            ("SELECT type FROM pragma_table_info('users') WHERE name = 'name'", "VARCHAR(500)")
        ],
        "Indexes": [(INDEX["sqlite"].format("users_last_login_at_idx"), 1)],
        "Partial indexes": [(INDEX["sqlite"].format("users_unverified_idx"), 1)],
        "Foreign keys": [
            ("SELECT on_delete FROM pragma_foreign_key_list('posts')", "CASCADE"),
            (INDEX["sqlite"].format("posts_author_id_idx"), 1),
        ],
        "UUIDs": [("INSERT INTO devices VALUES ('x', 'phone') RETURNING name", "phone")],
        "JSON columns": [
            ("SELECT count(*) FROM users WHERE preferences = '{}'", 2),
            (INDEX["sqlite"].format("users_theme_idx"), 1),
            ('UPDATE users SET preferences = \'{"theme": "dark"}\' RETURNING 1', 1),
            ("SELECT count(*) FROM users WHERE json_extract(preferences, '$.theme') = 'dark'", 2),
        ],
        "Array columns": [
            ("UPDATE users SET tags = '[\"new\"]' WHERE name = 'Ada' RETURNING 1", 1),
            (
                "SELECT count(*) FROM users"
                " WHERE EXISTS (SELECT 1 FROM json_each(tags) WHERE value = 'new')",
                1,
            ),
        ],
        "Full-text search": [
            ("SELECT count(user_id) FROM users_search WHERE users_search MATCH 'ada'", 1),
            ("UPDATE users SET name = 'Countess' WHERE name = 'Ada' RETURNING 1", 1),
            ("SELECT count(user_id) FROM users_search WHERE users_search MATCH 'countess'", 1),
            ("DELETE FROM users RETURNING 1", 1),
            ("SELECT count(*) FROM users_search", 0),
        ],
    },
    "postgresql": {
        **COMMON,
        "Changing a column": [
            (
                "SELECT character_maximum_length FROM information_schema.columns WHERE"
                " table_schema = current_schema() AND table_name = 'users'"
                " AND column_name = 'name'",
                500,
            )
        ],
        "Indexes": [(INDEX["postgresql"].format("users_last_login_at_idx"), 1)],
        "Concurrent indexes": [
            ("SELECT indisvalid FROM pg_index WHERE indexrelid = 'users_name_idx'::regclass", True)
        ],
        "Foreign keys": [
            (VALID_KEY.format("posts_author_id_fkey"), 1),
            (INDEX["postgresql"].format("posts_author_id_idx"), 1),
        ],
        "Foreign keys on a large table": [(VALID_KEY.format("users_invited_by_id_fkey"), 1)],
        "UUIDs": [("INSERT INTO devices (name) VALUES ('phone') RETURNING id IS NOT NULL", True)],
        "JSON columns": [
            ("SELECT count(*) FROM users WHERE preferences = '{}'", 2),
            ('UPDATE users SET preferences = \'{"theme": "dark"}\' RETURNING 1', 1),
            ('SELECT count(*) FROM users WHERE preferences @> \'{"theme": "dark"}\'', 2),
        ],
        "Array columns": [
            ("UPDATE users SET tags = '{new}' WHERE name = 'Ada' RETURNING 1", 1),
            ("SELECT count(*) FROM users WHERE tags @> ARRAY['new']", 1),
        ],
        "Full-text search": [
            ("SELECT count(*) FROM users WHERE search @@ websearch_to_tsquery('simple', 'ada')", 1)
        ],
    },
}
# These leave rows behind on purpose when they are rolled back.
KEEPS_ROWS = {"Data migrations in chunks"}


def main(database: str, guide: str) -> None:
    """Try every pattern."""
    warnings.simplefilter("ignore")
    patterns = read_patterns(Path(guide))
    checks = CHECKS[database.partition("-")[0]]
    assert set(patterns) == set(checks), set(patterns) ^ set(checks)
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder), tenants=database.endswith("tenant"))
        for heading, files in patterns.items():
            trial.attempt(heading, files, checks[heading])
        trial.fail_halfway(patterns["Transactions"])


def read_patterns(guide: Path) -> dict[str, list[str]]:
    """The files below each heading of section 8."""
    text = guide.read_text(encoding="utf-8")
    chapter = text[text.rindex("\n## 8. ") : text.rindex("\n## 9. ")]
    sections = re.findall(r"^### (.*?)\n(.*?)(?=^### |\Z)", chapter, re.MULTILINE | re.DOTALL)
    code = re.compile(r"```python\n(.*?)```", re.DOTALL)
    return {heading: code.findall(section) for heading, section in sections}


class Trial:
    """A database at the last migration, two users in it, and a folder to add a pattern to."""

    def __init__(self, folder: Path, *, tenants: bool) -> None:
        shutil.copytree(migrations.config.directory, folder / "m")
        self.config = replace(migrations.config, directory=folder / "m")
        self.engine = connect(load_settings(serving=False))
        self.schemas = [f"tenant_{name}" for name in TENANTS] if tenants else [None]
        self.tenants = tenants
        self.added = 0
        self.up()
        for name in TENANTS if tenants else ():
            migrate.run_tenant_migrations(self.engine, name, config=self.config)
        self.after = migrate.get_migration_status(self.engine, config=self.config).current
        self.add_user("ada@example.com", "Ada")
        self.add_user("grace@example.com", "")

    def up(self) -> None:
        """Apply what is pending, everywhere."""
        if not self.tenants:
            migrate.run_migrations(self.engine, config=self.config).raise_for_error()
            return
        run = migrate.run_all_tenant_migrations(self.engine, config=self.config)
        assert run.success, [run.public.error, *(str(result.error) for result in run.failed)]

    def down(self) -> None:
        """Undo the pattern's batches, everywhere."""
        while migrate.get_migration_status(self.engine, config=self.config).current != self.after:
            if not self.tenants:
                migrate.rollback_migrations(self.engine, config=self.config).raise_for_error()
                continue
            run = migrate.rollback_all_tenants(self.engine, config=self.config)
            assert run.success, [run.public.error, *(str(result.error) for result in run.failed)]

    def attempt(self, heading: str, files: list[str], checks: list[tuple[str, Any]]) -> None:
        """Apply a pattern, check its effect, and undo it."""
        self.write(files)
        before = [self.snapshot(schema) for schema in self.schemas]
        self.up()
        for schema in self.schemas:
            with self.enter(schema) as connection:
                for statement, expected in checks:
                    found = connection.exec_driver_sql(statement).scalar()
                    assert found == expected, f"{heading}: {statement} gave {found!r}"
                connection.rollback()
        self.down()
        after = [self.snapshot(schema) for schema in self.schemas]
        if heading in KEEPS_ROWS:
            assert [state[0] for state in before] == [state[0] for state in after], heading
            self.change("UPDATE users SET name = '' WHERE name = 'grace'")
        else:
            assert before == after, f"{heading}: {before} {after}"
        for path in self.config.versions.glob(f"{PATTERN}*"):
            path.unlink()

    def fail_halfway(self, files: list[str]) -> None:
        """The pattern that raises for a bad row changes nothing."""
        self.add_user("nobody@localhost", "Nobody")
        self.write(files)
        before = [self.snapshot(schema) for schema in self.schemas]
        try:
            self.up()
        except (AssertionError, ActionableError) as error:
            assert "1 users have an address without a domain" in str(error), error
        else:
            raise AssertionError("it did not fail")
        assert before == [self.snapshot(schema) for schema in self.schemas]

    def write(self, files: list[str]) -> None:
        """The pattern as files, each after the one before."""
        after = self.after
        for number, code in enumerate(files):
            revision = f"{PATTERN}{number}"
            path = self.config.versions / f"{revision}_pattern.py"
            path.write_text(HEAD.format(revision=revision, after=after, body=code))
            after = revision

    def add_user(self, email: str, name: str) -> None:
        """A user, in every schema."""
        self.added += 1
        key = f"00000000-0000-0000-0000-{self.added:012}"
        self.change(
            "INSERT INTO users (id, email, password_hash, name)"
            f" VALUES ('{key}', '{email}', 'x', '{name}')"
        )

    def change(self, statement: str) -> None:
        """Run a statement in every schema."""
        for schema in self.schemas:
            with self.enter(schema) as connection:
                connection.exec_driver_sql(statement)
                connection.commit()

    def enter(self, schema: str | None) -> sa.Connection:
        """A connection in a schema."""
        connection: sa.Connection = self.engine.connect()
        if schema:
            connection.exec_driver_sql(f"SET LOCAL search_path TO {schema}")
        return connection

    def snapshot(self, schema: str | None) -> tuple[Any, ...]:
        """Tables, columns, indexes, keys, triggers; and the users."""
        with self.enter(schema) as connection:
            seen = sa.inspect(connection)
            state = {
                table: (
                    sorted(
                        (c["name"], str(c["type"]), c["nullable"]) for c in seen.get_columns(table)
                    ),
                    sorted(str(index["name"]) for index in seen.get_indexes(table)),
                    sorted(str(key["name"]) for key in seen.get_foreign_keys(table)),
                )
                for table in seen.get_table_names()
                if table not in ("alembic_version", "migration_history", "migration_progress")
            }
            others = "SELECT tgname FROM pg_trigger"
            if self.engine.dialect.name == "sqlite":
                others = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            triggers = sorted(connection.exec_driver_sql(others).scalars())
            people = connection.exec_driver_sql("SELECT email, name FROM users ORDER BY email")
            return (state, triggers), people.all()


if __name__ == "__main__":
    main(*sys.argv[1:])
