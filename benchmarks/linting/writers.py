"""The wait of a writer during a risky migration, and during its safe form, on a million rows.

Run by ``benchmarks.lint`` with the Python of a generated service: ``writers.py ADDRESS ROWS``.
Prints one line of JSON for each.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from random import Random
from threading import Event, Thread

import psycopg
import sqlalchemy as sa
from my_service.migrate.backends.postgresql import lint as dialect
from my_service.migrate.lint import Finding, Migration, lint

from engine.lint_cases import RISKY, SHOP, SMALL_TABLES
from engine.linting import apply, migration, pasted

SERVER = sa.make_url(sys.argv[1])
ROWS = int(sys.argv[2])
# One of each form. Others differ only in the statement that leads to it; tests run them all.
MEASURED = (
    "an index",
    "a unique constraint",
    "a primary key",
    "a foreign key",
    "a check",
    "NOT NULL",
    "attaching a partition",
    "dropping an index",
    "REINDEX of a table",
    "refreshing a materialized view",
    "an UPDATE of all rows",
    "a new column with a volatile default",
    "a type change that rewrites the table",
    "a new generated column",
)
FILL = f"""
INSERT INTO users (email, name, age, phone, org_id)
    SELECT n || '@example.com', 'name ' || n, n % 100, n, 1 FROM generate_series(1, {ROWS}) AS n;
INSERT INTO orders (user_id, total) SELECT id, 1 FROM users;
INSERT INTO events_2024 SELECT n, '2024-05-01' FROM generate_series(1, {ROWS}) AS n;
INSERT INTO events_2025 SELECT n, '2025-05-01' FROM generate_series(1, {ROWS}) AS n;
INSERT INTO carts SELECT n, n, NULL FROM generate_series(1, {ROWS}) AS n;
REFRESH MATERIALIZED VIEW totals;
"""
# The statements of the live site meanwhile, on an existing or a new row; the materialized view
# is read.
TRAFFIC = {
    "users": "UPDATE users SET bio = bio WHERE email = %(old)s || '@example.com'",
    "orders": "UPDATE orders SET note = note WHERE id = %(old)s",
    "events_2025": "INSERT INTO events_2025 VALUES (%(new)s, '2025-06-01')",
    "carts": "INSERT INTO carts (id) VALUES (%(new)s)",
    "totals": "SELECT total FROM totals OFFSET %(old)s %% 10 LIMIT 1",
}


def main() -> None:
    """Measure one migration for each safe form."""
    admin("CREATE DATABASE lint_shop")
    execute("lint_shop", SHOP)
    findings = {name: finding_of(name) for name in MEASURED}
    execute("lint_shop", FILL)
    execute("lint_shop", "VACUUM ANALYZE")
    for name, finding in findings.items():
        risky = [migration(RISKY[name])]
        safe = [pasted(text) for text in finding.rewrite]
        row = {"name": name, "table": finding.table, "codes": finding.codes}
        for form, changes in (("risky", risky), ("safe", safe)):
            row[form] = dict(zip(("wait", "took"), measured(finding.table, changes), strict=True))
        print(json.dumps(row), flush=True)


def finding_of(name: str) -> Finding:
    """The findings in a migration, with the safe form."""
    with copy() as engine, engine.connect() as connection:
        change = migration(RISKY[name])
        report = lint(connection, [change], dialect, small_tables=SMALL_TABLES, round_trip=False)
    return report.findings[0]


def measured(table: str, changes: list[Migration]) -> tuple[float, float]:
    """The longest wait of a writer during migrations, and their duration, in seconds."""
    with copy() as engine, traffic(engine, TRAFFIC[table]) as waits:
        began = time.perf_counter()
        for change in changes:
            apply(engine, change)
        took = time.perf_counter() - began
    return max(waits), took


@contextmanager
def traffic(engine: sa.Engine, statement: str) -> Iterator[list[float]]:
    """One statement after the other, by another session; yields a list of their times."""
    waits: list[float] = []
    errors: list[psycopg.Error] = []
    over, warm, random, new = Event(), Event(), Random(0), count(ROWS + 1)
    address = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)

    def write() -> None:
        try:
            work()
        except psycopg.Error as error:
            errors.append(error)

    def work() -> None:
        with psycopg.connect(address, autocommit=True) as connection:
            while not over.is_set():
                began = time.perf_counter()
                values = {"old": str(random.randrange(1, ROWS)), "new": str(next(new))}
                connection.execute(statement.encode(), values)
                waits.append(time.perf_counter() - began)
                if len(waits) == 100:
                    waits.clear()  # the first ones have cold caches
                    warm.set()
                time.sleep(0.001)

    writer = Thread(target=write, daemon=True)
    writer.start()
    assert warm.wait(60), "the writer did not get going"
    try:
        yield waits
    finally:
        over.set()
        writer.join()
    assert not errors, errors  # a live site would have had the error too


@contextmanager
def copy() -> Iterator[sa.Engine]:
    """A copy of the shop."""
    admin("CREATE DATABASE lint_copy TEMPLATE lint_shop STRATEGY file_copy")
    engine = sa.create_engine(SERVER.set(database="lint_copy"), poolclass=sa.NullPool)
    try:
        yield engine
    finally:
        admin("DROP DATABASE lint_copy WITH (FORCE)")


def admin(statement: str) -> None:
    """Run a statement about databases."""
    execute("postgres", statement)


def execute(database: str, statement: str) -> None:
    """Run a statement outside a transaction."""
    address = SERVER.set(drivername="postgresql", database=database)
    with psycopg.connect(
        address.render_as_string(hide_password=False), autocommit=True
    ) as connection:
        connection.execute(statement.encode())


main()
