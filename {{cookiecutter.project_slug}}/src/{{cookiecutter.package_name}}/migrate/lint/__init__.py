"""The linter: reports what a migration would do to a live site.

Linters that only read SQL must guess. This one runs the migrations on an empty schema, one
statement at a time, and asks the database about the effect of each: its locks, rewritten tables,
full scans, and objects that the running code would miss.

Belongs here: watching migrations, the rules, and reports. May import: ``alembic_bridge``,
``errors``; the database's part is in ``backends/<database>/lint.py``, which it gets as an argument.
Imported by: the engine's other modules.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from .judge import judge
from .model import Dialect, Finding, Migration, Report, Rule, Snapshots
from .observe import observe
from .report import as_github, as_json, as_text, summary
from .rules import RULES

__all__ = [
    "RULES",
    "Dialect",
    "Finding",
    "Migration",
    "Report",
    "Rule",
    "Snapshots",
    "as_github",
    "as_json",
    "as_text",
    "lint",
    "summary",
]


def lint(
    connection: Connection,
    migrations: Sequence[Migration],
    dialect: Dialect,
    *,
    small_tables: Sequence[str] = (),
    round_trip: bool = True,
    snapshots: Snapshots | None = None,
    options: Mapping[str, Any] | None = None,
) -> Report:
    """Run migrations on a scratch database, and report what they would do to a live one.

    Args:
        connection: to a scratch database that has the earlier migrations; the changes are committed
            there.
        migrations: in their order, as one run: objects that one migration creates may be changed
            freely by later ones.
        dialect: the module ``backends/<database>/lint.py``.
        small_tables: names of tables that are so small that every statement is quick.
        round_trip: downgrade and upgrade again, to check that the schema comes back.
        snapshots: also compare the whole schema after the downgrade.
        options: for Alembic's ``MigrationContext``.
    """
    linted = observe(
        connection,
        migrations,
        dialect,
        small_tables=small_tables,
        round_trip=round_trip,
        snapshots=snapshots,
        options=options,
    )
    return judge(linted, dialect)
