"""The table ``migration_history`` of an older release, another service or another program."""

from __future__ import annotations

import sqlalchemy as sa
from my_service.migrate import get_migration_status, rollback_migrations, run_migrations

from engine.support import Database, Folder, create

ALONE = "transaction = False\n"


def test_the_history_table_of_0_1_0_is_upgraded(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    folder.tables("a")
    run_migrations(engine, config=folder.config())
    for column in ("phase", "service", "release", "fingerprint", "note"):
        database.ask(f"ALTER TABLE migration_history DROP COLUMN {column}")
    assert get_migration_status(engine, config=folder.config()).at_head
    folder.add("alone", create("b"), 'op.drop_table("b")', extra=ALONE)
    folder.tables("c")
    # Rows without the name of a service belong to every service.
    named = folder.config(service="shop")
    assert run_migrations(engine, config=named).raise_for_error().batch == 2
    phases = database.ask("SELECT name, phase FROM migration_history ORDER BY id")
    assert phases == [("001_a", "expand"), ("002_alone", "expand"), ("003_c", "expand")]
    assert rollback_migrations(engine, config=folder.config()).migrations == ("003_c", "002_alone")


def test_two_services_in_one_schema_need_different_history_tables(
    engine: sa.Engine, folder: Folder
) -> None:
    folder.tables("a")
    run_migrations(engine, config=folder.config(service="shop")).raise_for_error()
    error = run_migrations(engine, config=folder.config(service="blog")).error
    assert error.code == "another-services-history" and "shop" in error.problem
    config = folder.config(
        service="blog", history_table="blog_history", version_table="blog_version"
    )
    engine_tables = {"alembic_version", "migration_history", "a"}
    assert set(sa.inspect(engine).get_table_names()) == engine_tables
    assert get_migration_status(engine, config=config).pending == ("001_a",)


def test_a_foreign_table_named_migration_history_is_an_error(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    database.ask("CREATE TABLE migration_history (what TEXT)")
    folder.tables("a")
    error = run_migrations(engine, config=folder.config()).error
    assert error.code == "foreign-history-table"
    assert database.ask("SELECT * FROM migration_history") == []
