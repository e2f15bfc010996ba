"""The migrations go up and down, and agree with the models."""

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, inspect

from {{ cookiecutter.package_name }}.migrate import (
    get_migration_status,
    rollback_migrations,
    run_migrations,
)
from {{ cookiecutter.package_name }}.migrate.alembic_bridge import context_options
from {{ cookiecutter.package_name }}.migrations import config

from .schema import open_session, prepare


def test_every_migration_goes_up_and_down_and_up_again(engine: Engine) -> None:
    first = run_migrations(engine).raise_for_error()
    assert first.batch == 1
    assert get_migration_status(engine).at_head

    rollback_migrations(engine, everything=True).raise_for_error()
    with engine.connect() as connection:
        config.scope.enter(connection)
        left = set(inspect(connection).get_table_names())
    assert left == {"alembic_version", "migration_history"}

    assert run_migrations(engine).raise_for_error().migrations == first.migrations


def test_running_twice_changes_nothing(engine: Engine) -> None:
    run_migrations(engine).raise_for_error()
    again = run_migrations(engine)
    assert (again.success, again.batch, again.migrations) == (True, None, ())


def test_the_models_and_the_migrated_database_do_not_differ(engine: Engine) -> None:
    run_migrations(engine).raise_for_error()
    options = context_options(config)
    with engine.connect() as connection:
        config.scope.enter(connection)
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, options["target_metadata"]) == []


def test_users_have_their_indexes(engine: Engine) -> None:
    prepare(engine)
    with open_session(engine) as session:
        found = inspect(session.connection()).get_indexes("users")
    indexes = {index["name"]: index for index in found}
    assert set(indexes) == {
        "users_email_idx",
        "users_email_verified_idx",
        "users_is_active_idx",
        "users_verification_token_idx",
        "users_created_at_idx",
        "users_active_verified_idx",
    }
    assert indexes["users_email_idx"]["unique"]
    assert indexes["users_active_verified_idx"]["column_names"] == ["is_active", "email_verified"]
