"""Lint each migration of ``tests/inside/engine/lint_cases.py``: codes, statements, seconds.

Run by ``benchmarks.lint`` with the Python of a generated service: ``ours.py ADDRESS``. Prints JSON.
"""

import json
import sys
import time
from typing import Any

import sqlalchemy as sa
from my_service.migrate.backends.postgresql import lint as dialect
from my_service.migrate.lint.judge import judge
from my_service.migrate.lint.observe import observe

from engine.lint_cases import RISKY, SAFE, SHOP, SMALL_TABLES, Case
from engine.linting import found, migration

ENGINE = sa.create_engine(sys.argv[1], poolclass=sa.NullPool)


def main() -> None:
    """Print the findings."""
    cases = {"risky": RISKY, "safe": SAFE}
    print(
        json.dumps(
            {kind: {n: linted(c) for n, c in these.items()} for kind, these in cases.items()}
        )
    )


def linted(case: Case) -> dict[str, Any]:
    """One migration, on fresh tables."""
    with ENGINE.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("DROP SCHEMA IF EXISTS attic CASCADE")
        connection.exec_driver_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        connection.exec_driver_sql(SHOP)
    began = time.perf_counter()
    with ENGINE.connect() as connection:
        (one,) = observe(
            connection,
            [migration(case)],
            dialect,
            small_tables=SMALL_TABLES,
            round_trip=bool(case.down),
        )
    report = judge([one], dialect)
    return {
        "wanted": case.codes.split(),
        "found": sorted(found(report)),
        "sql": [effect.sql for effect in one.effects],
        "transaction": one.migration.transaction,
        "seconds": time.perf_counter() - began,
    }


main()
