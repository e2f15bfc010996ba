"""Linting on PostgreSQL: what hurts a live site is found, what does not stays silent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest
import sqlalchemy as sa

from engine.lint_cases import CONTRACT, RISKY, SAFE, SHOP, SMALL_TABLES, Case, sql
from engine.linting import found, from_module, lint_cases, load, migration
from engine.support import KIND, Database

if KIND != "postgresql":
    pytest.skip("this is PostgreSQL's", allow_module_level=True)

from my_service.migrate.backends.postgresql import lint as dialect
from my_service.migrate.lint import Report, as_github, as_json, as_text, lint
from my_service.migrate.lint.judge import judge
from my_service.migrate.lint.model import Effect
from my_service.migrate.lint.observe import observe


@pytest.fixture
def shop(database: Database) -> Iterator[sa.Engine]:
    """A scratch database with the tables of a shop."""
    engine = sa.create_engine(database.address, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA IF EXISTS attic CASCADE")
        connection.exec_driver_sql(SHOP)
    yield engine
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP OWNED BY reader; DROP ROLE reader")


@pytest.fixture
def check(shop: sa.Engine) -> Callable[..., Report]:
    """Lints cases as one run."""

    def run(*cases: Case) -> Report:
        return lint_cases(shop, dialect, *cases, small_tables=SMALL_TABLES)

    return run


def test_there_are_enough_migrations_to_lint() -> None:
    assert len(RISKY) >= 40
    assert len(SAFE) >= 40


@pytest.mark.parametrize("name", RISKY)
def test_what_hurts_is_found(check: Callable[..., Report], name: str) -> None:
    report = check(RISKY[name])
    assert set(RISKY[name].codes.split()) <= found(report), as_text(report)


@pytest.mark.parametrize("name", SAFE)
def test_what_does_not_hurt_stays_silent(check: Callable[..., Report], name: str) -> None:
    report = check(SAFE[name])
    assert report.findings == (), as_text(report)


# -- The safe forms ------------------------------------------------------------------------------

ROWS = """
INSERT INTO orgs SELECT n, 'org ' || n FROM generate_series(1, 9) AS n;
INSERT INTO users (email, name, age, bio, phone, org_id)
    SELECT n || '@example.com', 'name ' || n, n, '', n, 1 FROM generate_series(1, 2500) AS n;
INSERT INTO orders (user_id, total) SELECT id, 1 FROM users;
INSERT INTO events_2024 SELECT n, '2024-05-01' FROM generate_series(1, 9) AS n;
INSERT INTO events_2025 SELECT n, '2025-05-01' FROM generate_series(1, 9) AS n;
INSERT INTO carts SELECT n, n, NULL FROM generate_series(1, 9) AS n;
"""
# What the service itself must do before the last step.
MEANWHILE = {"a column that may not be empty": "UPDATE users SET nick = ''"}
# Where the schema is another one afterwards, and why that is as good.
DIFFERENT = {
    "a generated column": "a trigger computes it",
    "an identity column": "a default numbers it",
    "detaching a partition": "PostgreSQL leaves the partition's check behind",
    "renaming a table": "its old name is gone, its rows are not",
}
NO_OTHER_FORM = {
    "LOCK TABLE",
    "LOCK TABLE in a DO block",
    "VACUUM FULL",
    "CLUSTER",
    "an exclusion constraint",
    "an unlogged table",
    "an UPDATE in a DO block",
    "an UPDATE in a function",
    "a DELETE of all rows",
    "rows copied to another table",
    "rows moved by a CTE",
    "rows fetched to be changed one by one",
}
UPGRADES = {
    name: case
    for name, case in RISKY.items()
    if not {"cannot-be-undone", "unused-ignore", "mixed-phases", "fails"} & {*case.codes.split()}
}


@pytest.fixture
def filled(shop: sa.Engine) -> Iterator[sa.Engine]:
    """A copy of the shop, with rows in it."""
    admin = sa.create_engine(shop.url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    name = f"{shop.url.database}_copy"
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {shop.url.database}")
    engine = sa.create_engine(shop.url.set(database=name), poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(ROWS)
    yield engine
    with admin.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    admin.dispose()


@pytest.mark.parametrize("name", UPGRADES)
def test_a_safe_form_gives_the_same_schema_and_hurts_nobody(
    shop: sa.Engine, filled: sa.Engine, name: str
) -> None:
    with shop.connect() as connection:
        (one,) = observe(connection, [migration(UPGRADES[name])], dialect, round_trip=False)
        wanted = schema(connection)
    findings = [finding for finding in judge([one], dialect).findings if finding.rewrite]
    assert bool(findings) is (name not in NO_OTHER_FORM)
    if not findings:
        return
    statements = [" ".join(effect.sql.split()) for effect in one.effects]
    whole = {"needs-autocommit", "long-transaction"}  # their form holds every statement
    at = statements.index(findings[0].statement) if not whole & {*findings[0].codes} else None
    with filled.connect() as connection:
        if at is not None:
            run(connection, one.effects[:at])
        files = [from_module(loaded(text)) for text in findings[0].rewrite]
        for file in files:
            if file is files[-1] and name in MEANWHILE:
                connection.exec_driver_sql(MEANWHILE[name])
                connection.commit()
            report = lint(connection, [file], dialect, round_trip=False)
            assert not report.findings, as_text(report)
        if at is not None:
            run(connection, one.effects[at + 1 :])
        assert (schema(connection) == wanted) is (name not in DIFFERENT)


def schema(connection: sa.Connection) -> dict[object, object]:
    """All that the catalog holds, by name."""
    things = dialect.catalog(connection).values()
    return {
        (thing.kind, thing.table, thing.name): thing.facts
        for thing in things
        if thing.kind not in ("lock", "setting")
    }


def run(connection: sa.Connection, effects: list[Effect]) -> None:
    """Run what comes before a statement in its migration, or after it."""
    with connection.begin():
        for effect in effects:
            connection.exec_driver_sql(effect.sql)


def loaded(text: str) -> ModuleType:
    """A file that was pasted from a finding."""
    file = ModuleType("pasted")
    load(file, f"import sqlalchemy as sa\nfrom alembic import op\n{text}")
    return file
