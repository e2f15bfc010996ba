"""Lints one migration on the tables of a shop, as ``migrate lint`` does."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import sqlalchemy as sa
from my_service.migrate.lint import Migration, Report, lint
from my_service.migrate.lint_on_scratch import SchemaSnapshots

from engine.lint_cases import Case


def module(case: Case, path: str = "migration.py") -> ModuleType:
    """The module of a case, as the engine loads it."""
    loaded = ModuleType("migration")
    body = "\n    ".join(case.up.splitlines())
    down = "\n    ".join((case.down or "pass").splitlines())
    text = f"def upgrade():\n    {body}\n\ndef downgrade():\n    {down}\n"
    load(loaded, f"import sqlalchemy as sa\nfrom alembic import op\n{case.head}\n{text}", path)
    return loaded


def load(loaded: ModuleType, text: str, path: str = "migration.py") -> None:
    """Execute a migration's code."""
    exec(compile(text, path, "exec"), loaded.__dict__)


def migration(case: Case, name: str = "migration.py") -> Migration:
    """The arguments for the linter."""
    return from_module(module(case, name), name)


def from_module(loaded: Any, name: str = "migration.py") -> Migration:
    """The arguments for the linter for a loaded file."""
    transaction = getattr(loaded, "transaction", True)
    wrap: Callable[[Any], Any] = (lambda body: body) if transaction else outside_transaction
    return Migration(
        name,
        name,
        wrap(loaded.upgrade),
        wrap(getattr(loaded, "downgrade", lambda: None)),
        getattr(loaded, "phase", "expand"),
        transaction,
        getattr(loaded, "lint_ignore", {}),
    )


def outside_transaction(body: Callable[[], None]) -> Callable[[], None]:
    """A body with ``transaction = False``, as changed by the engine's loader."""

    def run() -> None:
        from alembic import op

        with op.get_context().autocommit_block():
            body()

    return run


def apply(engine: sa.Engine, change: Migration) -> None:
    """Run a migration's upgrade without watching it."""
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext

    with engine.connect() as connection:
        options = {"transaction_per_migration": True}
        context = MigrationContext.configure(connection, opts=options)
        with context.begin_transaction(_per_migration=True), Operations.context(context):
            change.upgrade()


def pasted(text: str) -> Migration:
    """A file pasted from a finding."""
    file = ModuleType("pasted")
    load(file, f"import sqlalchemy as sa\nfrom alembic import op\n{text}")
    return from_module(file)


def found(report: Report) -> set[str]:
    """All codes."""
    return {code for finding in report.findings for code in finding.codes}


def lint_cases(engine: sa.Engine, dialect: Any, *cases: Case, **options: Any) -> Report:
    """Lint cases as one run."""
    migrations = [migration(case, f"{n}.py") for n, case in enumerate(cases)]
    with engine.connect() as connection:
        return lint(
            connection,
            migrations,
            dialect,
            round_trip=all(c.down for c in cases),
            snapshots=SchemaSnapshots(),
            **options,
        )
