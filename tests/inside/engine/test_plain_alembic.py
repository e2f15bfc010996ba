"""Plain Alembic on the same project leaves the same tables, and the engine understands it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import my_service
import pytest
import sqlalchemy as sa
from alembic import command as alembic_command
from alembic.config import Config
from my_service.migrate import (
    get_migration_status,
    migrate_down,
    rollback_migrations,
    run_migrations,
)
from processes import Process

from engine import command_line
from engine.support import Database, Folder

ENV = """
from pathlib import Path
import sqlalchemy as sa
from my_service.database.backend import connect
from my_service.migrate import MigrationConfig
from my_service.migrate.plain_alembic import run_alembic
from my_service.settings import load_settings
run_alembic(lambda: connect(load_settings()), MigrationConfig(Path(__file__).parent, sa.MetaData))
"""
ENV_WITHOUT_DATABASE = """
from pathlib import Path
import sqlalchemy as sa
from my_service.migrate import MigrationConfig
from my_service.migrate.plain_alembic import run_alembic

def nobody() -> sa.Engine:
    raise AssertionError("the service's own database was asked for")

run_alembic(nobody, MigrationConfig(Path(__file__).parent, sa.MetaData))
"""

Alembic = Callable[..., str]


@pytest.fixture
def alembic(database: Database, folder: Folder) -> Alembic:
    """Runs ``alembic …`` on database and folder, with the service's own settings for it."""
    settings = Path(my_service.__file__).parents[2] / "pyproject.toml"
    text = settings.read_text().replace("%(here)s/src/my_service/migrations", str(folder.path))
    (folder.path / "pyproject.toml").write_text(text)
    (folder.path / "env.py").write_text(ENV)

    def run(*words: str, on: Database = database) -> str:
        address = {"ENVIRONMENT": "development", "DATABASE_URL": on.address}
        process = Process(
            command_line.alembic, *words, folder=folder.path, variables=os.environ | address
        )
        code, out, err = process.finish()
        assert code == 0, err
        return out

    return run


def test_alembic_leaves_the_same_schema_and_history(
    alembic: Alembic, folder: Folder, new_database: Callable[[], Database], database: Database
) -> None:
    other = new_database()
    other = new_database() if other == database else other
    folder.tables("a")
    folder.add("alone", 'op.create_index("a_idx", "a", ["id"])', extra="transaction = False\n")
    folder.tables("b")
    alembic("upgrade", "head")
    engine = other.engine()
    run_migrations(engine, config=folder.config()).raise_for_error()
    assert database.all() == other.all()
    alembic("downgrade", "-1")
    migrate_down(engine, config=folder.config()).raise_for_error()
    assert database.all() == other.all()
    alembic("upgrade", "head", on=other)
    engine.dispose()
    engine = database.engine()
    assert run_migrations(engine, config=folder.config()).batch == 2
    assert database.all() == other.all()
    assert rollback_migrations(engine, config=folder.config()).migrations == ("003_b",)
    engine.dispose()


def test_stamped_migrations_are_a_baseline_and_are_not_rolled_back(
    alembic: Alembic, folder: Folder, database: Database
) -> None:
    folder.tables("a", "b")
    engine = database.engine()
    run_migrations(engine, config=folder.config())
    database.ask("DROP TABLE migration_history")
    alembic("stamp", "head")
    status = get_migration_status(engine, config=folder.config())
    assert [(m.name, m.batch) for m in status.completed] == [("001_a", None), ("002_b", None)]
    folder.tables("c")
    assert run_migrations(engine, config=folder.config()).batch == 1
    assert [row[1:3] for row in database.history()] == [(0, "001_a"), (0, "002_b"), (1, "003_c")]
    status = get_migration_status(engine, config=folder.config())
    assert [m.batch for m in status.completed] == [None, None, 1]
    undone = rollback_migrations(engine, everything=True, config=folder.config())
    assert undone.raise_for_error().migrations == ("003_c",)
    for _ in range(2):
        again = rollback_migrations(engine, everything=True, config=folder.config())
        assert (again.success, again.migrations) == (True, ())
    refused = migrate_down(engine, config=folder.config())
    assert refused.error.code == "baseline-stays"
    assert database.tables() == {"a", "b"}
    engine.dispose()


def test_a_stamp_backwards_makes_later_migrations_pending(
    alembic: Alembic, folder: Folder, database: Database
) -> None:
    folder.tables("a", "b", "c")
    engine = database.engine()
    run_migrations(engine, config=folder.config())
    alembic("stamp", "001")
    status = get_migration_status(engine, config=folder.config())
    assert (status.current, status.pending) == ("001", ("002_b", "003_c"))
    database.ask("DROP TABLE b")
    database.ask("DROP TABLE c")
    assert run_migrations(engine, config=folder.config()).migrations == ("002_b", "003_c")
    engine.dispose()


def test_a_rollback_after_a_stamp_keeps_the_tables(
    alembic: Alembic, folder: Folder, database: Database
) -> None:
    folder.tables("a", "b")
    engine = database.engine()
    run_migrations(engine, config=folder.config())
    database.ask("DROP TABLE migration_history")
    undone = rollback_migrations(engine, config=folder.config())
    assert (undone.success, undone.migrations) == (True, ())
    assert database.tables() == {"a", "b"}
    engine.dispose()


def test_alembic_downgrade_needs_a_confirmation_if_configured(
    alembic: Alembic, folder: Folder, database: Database
) -> None:
    settings = folder.path / "env.py"
    asking = "sa.MetaData), asks_before_undoing=True)"
    settings.write_text(settings.read_text().replace("sa.MetaData))", asking))
    folder.tables("a")
    alembic("upgrade", "head")
    with pytest.raises(AssertionError, match="To confirm: alembic -x yes=1 downgrade"):
        alembic("downgrade", "base")
    assert database.tables() == {"a"}
    alembic("-x", "yes=1", "downgrade", "base")
    assert database.tables() == set()


def test_alembic_prints_sql_that_writes_history_too(
    alembic: Alembic, folder: Folder, database: Database
) -> None:
    from engine.shell import run_script

    folder.tables("a", "b")
    run_script(database, alembic("upgrade", "head", "--sql"))
    assert database.tables() == {"a", "b"}
    assert database.history() == [(1, 1, "001_a", True), (1, 1, "002_b", True)]
    engine = database.engine()
    assert run_migrations(engine, config=folder.config()).migrations == ()
    engine.dispose()


@pytest.mark.parametrize("handed", ["engine", "connection"])
def test_alembic_uses_the_engine_or_connection_of_its_config(
    engine: sa.Engine, folder: Folder, database: Database, handed: str
) -> None:
    folder.tables("a")
    (folder.path / "env.py").write_text(ENV_WITHOUT_DATABASE)
    config = Config(attributes={})
    config.set_main_option("script_location", str(folder.path))
    if handed == "engine":
        config.attributes["connection"] = engine
        alembic_command.upgrade(config, "head")
    else:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            alembic_command.upgrade(config, "head")
    assert database.tables() == {"a"}
    assert [row[2] for row in database.history()] == ["001_a"]
