"""Linting on PostgreSQL: risky migrations have findings, safe ones have none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
import sqlalchemy as sa

from engine.fixtures import on_server, server_url
from engine.lint_cases import ALONE, CONTRACT, RISKY, SAFE, SHOP, SMALL_TABLES, Case, sql
from engine.linting import found, lint_cases, migration, pasted
from engine.support import KIND

if KIND != "postgresql":
    pytest.skip("this is PostgreSQL's", allow_module_level=True)

from my_service.migrate.backends.postgresql import lint as dialect
from my_service.migrate.lint import Finding, Report, as_github, as_json, as_text, lint
from my_service.migrate.lint.judge import judge
from my_service.migrate.lint.model import Effect
from my_service.migrate.lint.observe import observe

EMPTY = """
RESET ALL; DROP SCHEMA IF EXISTS attic CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public;
"""


@pytest.fixture(scope="module")
def shops() -> Iterator[sa.Engine]:
    """A database for all tests of this file, on one open connection."""
    name = f"shop_{uuid4().hex}"
    on_server(f"CREATE DATABASE {name}")
    engine = sa.create_engine(server_url(name), pool_size=1)
    yield engine
    engine.dispose()
    on_server(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def shop(shops: sa.Engine) -> sa.Engine:
    """A scratch database with the tables of a shop, which are created again for each test."""
    make_shop(shops)
    return shops


def make_shop(shops: sa.Engine, rows: str = "") -> None:
    """Drop everything, and create the tables of a shop."""
    with shops.begin() as connection:
        connection.exec_driver_sql(f"{EMPTY}{SHOP}{rows}")


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
def test_each_risky_migration_has_its_findings(check: Callable[..., Report], name: str) -> None:
    report = check(RISKY[name])
    assert found(report) == set(RISKY[name].codes.split()), as_text(report)


@pytest.mark.parametrize("name", SAFE)
def test_safe_migrations_have_no_findings(check: Callable[..., Report], name: str) -> None:
    report = check(SAFE[name])
    assert report.findings == (), as_text(report)


# -- Whole runs ----------------------------------------------------------------------------------


def test_a_migration_can_lock_what_an_earlier_pending_one_creates(
    check: Callable[..., Report],
) -> None:
    first = Case('op.create_table("new", sa.Column("x", sa.Integer))')
    then = Case(
        'op.create_index("new_x", "new", ["x"])\nop.alter_column("new", "x", nullable=False)'
    )
    assert check(first, then).findings == ()


def test_a_lock_of_one_migration_is_held_through_the_next(check: Callable[..., Report]) -> None:
    first = Case(sql("ALTER TABLE users ADD CONSTRAINT a CHECK (age > 0) NOT VALID"))
    then = Case(sql("ALTER TABLE users VALIDATE CONSTRAINT a"))
    (finding,) = check(first, then).findings
    assert (finding.code, finding.migration) == ("long-transaction", "1.py")


def test_a_lock_is_not_held_if_each_migration_is_its_own_transaction(
    check: Callable[..., Report],
) -> None:
    first = Case(sql("ALTER TABLE users ADD CONSTRAINT a CHECK (age > 0) NOT VALID"))
    then = Case(sql("ALTER TABLE users VALIDATE CONSTRAINT a"))
    assert check(first, then, Case("pass", head=ALONE)).findings == ()


def test_each_object_lost_to_old_code_is_reported_once(check: Callable[..., Report]) -> None:
    report = check(Case('op.drop_table("carts")'), Case('op.drop_table("tags")'))
    assert [finding.detail.split(",")[0] for finding in report.findings] == [
        "Old code uses table carts",
        "Old code uses table tags",
    ]


def test_an_expand_after_a_contract_is_refused(check: Callable[..., Report]) -> None:
    contract = Case('op.drop_table("carts")', head=CONTRACT)
    expand = Case('op.add_column("users", sa.Column("nick", sa.Text))')
    (finding,) = check(contract, expand).findings
    assert (finding.code, finding.migration) == ("expand-after-contract", "1.py")
    assert "0.py" in finding.detail


def test_an_expand_before_a_contract_has_no_findings(check: Callable[..., Report]) -> None:
    contract = Case('op.drop_table("carts")', head=CONTRACT)
    expand = Case('op.add_column("users", sa.Column("nick", sa.Text))')
    assert check(expand, contract).findings == ()


def test_nothing_runs_after_a_migration_that_fails(check: Callable[..., Report]) -> None:
    report = check(Case(sql("SELECT nothing")), Case("pass"))
    assert report.linted == ("0.py",)
    assert found(report) == {"fails"}


def test_statements_on_roles_are_not_executed(
    check: Callable[..., Report], shop: sa.Engine
) -> None:
    check(RISKY["creating a role"])
    with shop.connect() as connection:
        roles = connection.exec_driver_sql("SELECT FROM pg_roles WHERE rolname = 'lint_reader'")
        assert roles.all() == []


# -- Reports -------------------------------------------------------------------------------------

INDEX = RISKY["an index"]


def test_a_finding_has_line_statement_lock_reason_and_safe_form(
    check: Callable[..., Report],
) -> None:
    report = check(INDEX)
    (finding,) = report.findings
    assert finding.line == 5
    assert finding.statement == "CREATE INDEX users_name_idx ON users (name)"
    assert (finding.table, finding.lock) == ("users", "ShareLock")
    text = as_text(report)
    for part in (finding.detail, finding.why, finding.instead, "postgresql_concurrently=True"):
        assert part in text
    assert text.endswith("1 migration linted, 1 finding.")


def test_short_locks_are_reported_in_one_notice(check: Callable[..., Report]) -> None:
    report = check(SAFE["columns of two tables"])
    lines = [line for line in as_text(report).splitlines() if "AccessExclusiveLock" in line]
    assert lines == [
        "0.py: notice: Briefly: AccessExclusiveLock on orders, AccessExclusiveLock on users."
    ]


def test_a_downgrade_that_drops_data_has_a_notice(check: Callable[..., Report]) -> None:
    report = check(SAFE["a nullable column"])
    assert "The downgrade drops users.nick, with the data in it." in as_text(report)


def test_accepted_findings_are_shown_with_their_reason(check: Callable[..., Report]) -> None:
    report = check(SAFE["a finding accepted with a reason"])
    assert report.success
    assert "accepted: While an index of users is built" in as_text(report)
    assert "(the table is read-only)" in as_text(report)


def test_the_report_can_be_json(check: Callable[..., Report]) -> None:
    rows = json.loads(as_json(check(INDEX)))
    assert rows["success"] is False
    assert rows["linted"] == ["0.py"]
    assert rows["findings"][0]["code"] == "blocks-writes"
    assert rows["findings"][0]["line"] == 5


def test_the_github_format_has_file_and_line_of_each_finding(check: Callable[..., Report]) -> None:
    (line,) = as_github(check(INDEX)).splitlines()[:1]
    assert line.startswith("::error file=0.py,line=5,title=blocks-writes::While an index")
    assert "%0Adef upgrade() -> None:%0A" in line


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
# Statements that the service itself must execute before the last step.
MEANWHILE = {"a new NOT NULL column without a default": "UPDATE users SET nick = ''"}
# Cases after which the schema differs, and why this is acceptable.
DIFFERENT = {
    "a new generated column": "a trigger computes it",
    "replacing a column by a generated one": "a trigger computes it",
    "a new identity column": "a default numbers it",
    "detaching a partition": "PostgreSQL leaves the partition's check behind",
}
NO_OTHER_FORM = {
    "LOCK TABLE",
    "creating a role",
    "setting an option of a role",
    "LOCK TABLE in a DO block",
    "VACUUM FULL",
    "CLUSTER",
    "a check on a domain",
    "a new column of a domain with a check",
    "a table replaced by a view that is not updatable",
    "a table replaced by a view without its grants",
    "a view with fewer columns",
    "a type change to a domain with a check",
    "rows changed by MERGE",
    "rows changed by a procedure",
    "rows locked in a DO block",
    "SET NOT NULL on a domain",
    "recreating a materialized view",
    "a table rebuilt by a batch operation",
    "an exclusion constraint",
    "an unlogged table",
    "an UPDATE in a DO block",
    "an UPDATE in a function",
    "a DELETE of all rows",
    "rows copied to another table",
    "rows changed in a loop of a DO block",
    "rows moved by a CTE",
    "rows read and updated one by one",
}
UPGRADES = {
    name: case
    for name, case in RISKY.items()
    if not {"cannot-be-undone", "unused-ignore", "mixed-phases", "fails"} & {*case.codes.split()}
}


@pytest.mark.parametrize("name", UPGRADES)
def test_each_safe_form_gives_the_same_schema_without_findings(shop: sa.Engine, name: str) -> None:
    with shop.connect() as connection:
        (one,) = observe(connection, [migration(UPGRADES[name])], dialect, round_trip=False)
        wanted = schema(connection)
    findings = [finding for finding in judge([one], dialect).findings if finding.rewrite]
    assert bool(findings) is (name not in NO_OTHER_FORM)
    for finding in findings:
        make_shop(shop, ROWS)
        with shop.connect() as connection:
            run_safely(connection, name, finding, one.effects)
            assert schema(connection) == wanted or name in DIFFERENT


def run_safely(
    connection: sa.Connection, name: str, finding: Finding, effects: list[Effect]
) -> None:
    """Run a migration's statements, with the safe form instead of the dangerous one."""
    statements = [" ".join(effect.sql.split()) for effect in effects]
    whole = {"needs-autocommit", "long-transaction"}  # their form contains every statement
    at = None if whole & {*finding.codes} else statements.index(finding.statement)
    run(connection, effects[:at] if at is not None else [])
    files = [pasted(text) for text in finding.rewrite]
    for file in files:
        if file is files[-1] and name in MEANWHILE:
            connection.exec_driver_sql(MEANWHILE[name])
            connection.commit()
        report = lint(connection, [file], dialect, round_trip=False)
        assert not report.findings, as_text(report)
    run(connection, effects[at + 1 :] if at is not None else [])


def schema(connection: sa.Connection) -> dict[object, object]:
    """All objects of the catalog, by name."""
    things = dialect.catalog(connection).values()
    return {
        (thing.kind, thing.table, thing.name): thing.facts
        for thing in things
        if thing.kind not in ("lock", "setting")
    }


def run(connection: sa.Connection, effects: list[Effect]) -> None:
    """Run the statements before or after a statement in its migration."""
    with connection.begin():
        for effect in effects:
            connection.exec_driver_sql(effect.sql)
