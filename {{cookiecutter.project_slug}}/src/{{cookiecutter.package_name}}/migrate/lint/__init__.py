"""Says what a migration does to a live site, before it does it.

Linters that read SQL guess. This one runs the migrations on an empty schema, one statement at a
time, and asks the database what each did: which locks it took, what it wrote anew, what it read
whole, and what the code that runs now would miss.

Belongs here: how migrations are watched, the rules, and reports. May import: nothing of the engine;
what a database must be asked is in ``backends/<database>/lint.py``, which it is handed. Imported
by: the engine's other modules.
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
        connection: to a database that has what comes before these migrations, and holds nothing
            that is needed: what they do is committed there.
        migrations: in their order; one run, so that what one creates the next may do with as it
            likes.
        dialect: the module ``backends/<database>/lint.py``.
        small_tables: names of tables that are so small that nothing takes long on them.
        round_trip: downgrade and upgrade again, to see whether that gives back the schema.
        snapshots: compare the schema as a whole too, after the downgrade.
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
