"""The guide's section "You have a database already", on databases that other tools made."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import my_service
import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from my_service.migrate import run_migrations

from engine.support import KIND, Command, Database, Folder

GUIDE = Path(my_service.__file__).parent / "migrations" / "README.md"
OTHER_TOOLS = "From Knex, from Django, or made by hand"

KEY = "SERIAL" if KIND == "postgresql" else "INTEGER NOT NULL"
# Made like the tools' own: https://knexjs.org, django/db/migrations/recorder.py.
BOOKKEEPING = {
    "Knex": [
        f"CREATE TABLE knex_migrations (id {KEY} PRIMARY KEY, name VARCHAR(255), batch INTEGER,"
        " migration_time TIMESTAMP)",
        f"CREATE TABLE knex_migrations_lock (idx {KEY} PRIMARY KEY, is_locked INTEGER)",
        "INSERT INTO knex_migrations (id, name, batch) VALUES (1, '20240101_people.js', 1)",
    ],
    "Django": [
        f"CREATE TABLE django_migrations (id {KEY} PRIMARY KEY, app VARCHAR(255) NOT NULL,"
        " name VARCHAR(255) NOT NULL, applied TIMESTAMP NOT NULL)",
    ],
    "hand": [],
}
PEOPLE = (
    f"CREATE TABLE people (id {KEY} PRIMARY KEY, name VARCHAR(100) NOT NULL)",
    "CREATE INDEX people_name_idx ON people (name)",
    "INSERT INTO people (id, name) VALUES (1, 'Ada')",
)


def commands(heading: str) -> list[str]:
    """The commands that the guide shows under a heading."""
    [section] = re.findall(rf"### {heading}\n(.*?)\n###? ", GUIDE.read_text("utf-8"), re.S)
    return re.findall(r"^\$ uv run \S+ (.+)$", section, re.M)


@pytest.fixture
def models(folder: Folder) -> sa.MetaData:
    """Step 1 of the guide."""
    people = sa.Table(
        "people",
        folder.metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(100), nullable=False),
    )
    sa.Index("people_name_idx", people.c.name)
    return folder.metadata


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("tool", BOOKKEEPING)
def test_a_database_of_another_tool_is_taken_over(
    tool: str,
    command: Command,
    folder: Folder,
    database: Database,
    new_database: Callable[[], Database],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for statement in (*PEOPLE, *BOOKKEEPING[tool]):
        database.ask(statement)
    monkeypatch.setenv("DATABASE_URL", new_database().address)
    assert command("migrate make create_my_tables")[0] == 0
    [first] = folder.versions.glob("*.py")
    folder.last = re.findall(r'^revision.*"(\w+)"', first.read_text(), re.M)[0]
    folder.tables("what_the_service_brings")
    monkeypatch.setenv("DATABASE_URL", database.address)

    found = commands(OTHER_TOOLS)
    assert [shlex.split(line)[1] for line in found] == ["baseline", "latest", "verify"]
    for line in found:
        code, out, err = command(line)
        assert (code, err) == (0, ""), out + err
    assert database.ask("SELECT id, name FROM people") == [(1, "Ada")]
    assert "what_the_service_brings" in database.tables()
    assert command("migrate rollback --all")[0] == 0
    assert database.ask("SELECT id, name FROM people") == [(1, "Ada")]


def test_a_database_of_alembic_is_taken_over(
    command: Command, folder: Folder, database: Database, engine: sa.Engine
) -> None:
    folder.tables("people", "pets")
    run_migrations(engine, config=folder.config())
    database.ask("DROP TABLE migration_history")  # as after plain Alembic
    with engine.connect() as connection:
        assert MigrationContext.configure(connection).get_current_revision() == "002"
    folder.tables("what_the_service_brings")

    found = commands("From Alembic")
    assert [shlex.split(line)[1] for line in found] == ["latest", "verify"]
    for line in found:
        code, out, err = command(line)
        assert (code, err) == (0, ""), out + err
    assert command("migrate rollback --all")[0] == 0
    assert database.tables() == {"people", "pets"}
