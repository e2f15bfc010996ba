"""Helpers to add migrations in a test."""

from pathlib import Path

from sqlalchemy import text

from {{ cookiecutter.package_name }}.cli.common import database

BODY = """\
from alembic import op

revision = "{number}"
down_revision = "{before}"
schemas = "all"
phase = "{phase}"


def upgrade() -> None:
    {up}


def downgrade() -> None:
    {down}
"""


def names(versions: Path) -> list[str]:
    """Names of the migrations in this folder, in order."""
    return sorted(path.stem for path in versions.glob("[0-9]*.py"))


def add(
    versions: Path, name: str, up: str = "pass", down: str = "pass", phase: str = "expand"
) -> Path:
    """Write a migration after the last one."""
    before = names(versions)[-1].partition("_")[0]
    number = f"{int(before) + 1:03}"
    path = versions / f"{number}_{name}.py"
    body = BODY.format(number=number, before=before, phase=phase, up=up, down=down)
    path.write_text(body, encoding="utf-8")
    return path


def execute(*statements: str) -> None:
    """Execute statements in the commands' database."""
    with database() as (engine, _), engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
