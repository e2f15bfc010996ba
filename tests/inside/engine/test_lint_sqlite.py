"""Linting on SQLite: table rebuilds, lost objects, statements that change too many rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from engine.lint_cases_sqlite import RISKY, SAFE, SHOP, SMALL_TABLES
from engine.linting import found, lint_cases, pasted
from engine.support import KIND

if KIND != "sqlite":
    pytest.skip("this is SQLite's", allow_module_level=True)

from my_service.migrate.backends.sqlite import lint as dialect
from my_service.migrate.lint import as_text, lint

# Alembic itself warns about constraints and indexes that a rebuild leaves out.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Skipped unsupported reflection", "ignore:Unnamed CHECK constraint"
)


def begin(connection: sa.Connection) -> None:
    """Begin a real transaction, as the engine does."""
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN IMMEDIATE")


@pytest.fixture
def shop() -> Iterator[sa.Engine]:
    """A copy in memory of the tables of a shop."""
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    make_shop(engine)
    sa.event.listen(engine, "begin", begin)
    yield engine
    engine.dispose()


def make_shop(engine: sa.Engine) -> None:
    """Start with an empty database, and create the tables of a shop."""
    engine.dispose()  # it was in memory
    with engine.connect() as connection:
        raw: Any = connection.connection.dbapi_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.executescript(SHOP)
        raw.isolation_level = None


@pytest.mark.parametrize("name", RISKY)
def test_each_risky_migration_has_its_findings(shop: sa.Engine, name: str) -> None:
    report = lint_cases(shop, dialect, RISKY[name], small_tables=SMALL_TABLES)
    assert found(report) == set(RISKY[name].codes.split()), as_text(report)


@pytest.mark.parametrize("name", SAFE)
def test_safe_migrations_have_no_findings(shop: sa.Engine, name: str) -> None:
    report = lint_cases(shop, dialect, SAFE[name], small_tables=SMALL_TABLES)
    assert report.findings == (), as_text(report)


def test_the_safe_form_restores_objects_that_a_rebuild_loses(shop: sa.Engine) -> None:
    before = catalog(shop)
    report = lint_cases(shop, dialect, RISKY["a table rebuild by separate statements"])
    (lost,) = [finding for finding in report.findings if finding.code == "loses-objects"]
    assert catalog(shop) != before
    run(shop, lost.rewrite, head="def upgrade():\n    ")
    assert catalog(shop) == before


# The losses of batch_alter_table are tested above.
FORMS = {
    name: case
    for name, case in RISKY.items()
    if not {"cannot-be-undone", "unused-ignore", "fails", "loses-objects"} & {*case.codes.split()}
}


@pytest.mark.parametrize("name", FORMS)
def test_each_safe_form_gives_the_same_schema_without_findings(shop: sa.Engine, name: str) -> None:
    empty = catalog(shop)
    report = lint_cases(shop, dialect, FORMS[name])
    wanted = catalog(shop)
    for finding in report.findings:
        if finding.rewrite and finding.code != "needs-autocommit":
            make_shop(shop)
            assert catalog(shop) == empty
            run(shop, finding.rewrite)
            assert catalog(shop) == wanted


def catalog(engine: sa.Engine) -> set[str]:
    """All objects, by name."""
    with engine.connect() as connection:
        return set(dialect.catalog(connection))


def test_the_safe_form_of_a_large_delete_works_in_chunks(shop: sa.Engine) -> None:
    (finding,) = lint_cases(shop, dialect, RISKY["a DELETE of all rows"]).findings
    with shop.begin() as connection:
        for number in range(2500):
            connection.exec_driver_sql("INSERT INTO plain VALUES (?, '')", (number,))
    run(shop, finding.rewrite)
    with shop.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM plain").scalar() == 0


def run(engine: sa.Engine, texts: tuple[str, ...], head: str = "") -> None:
    """Run the code pasted from a finding; it must have no findings."""
    for text in texts:
        with engine.connect() as connection:
            report = lint(connection, [pasted(head + text)], dialect, round_trip=False)
        assert report.success, as_text(report)
