"""The migrations go up and down, and agree with the models."""

from dataclasses import replace

from sqlalchemy import Engine, create_engine, inspect

from {{ cookiecutter.package_name }}.migrate import (
    Snapshot,
    diff_schemas,
    get_migration_status,
    read_schema_files,
    rollback_migrations,
    run_migrations,
)
from {{ cookiecutter.package_name }}.migrations import config

from .schema import open_session, prepare

# Objects that migrations make and models cannot express (a trigger, a view), as lines of
# `migrate diff models chain`.
MODELS_CANNOT_SAY: frozenset[str] = frozenset()


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


def test_the_models_and_the_migrations_make_the_same_schema(engine: Engine) -> None:
    for scope in config.scope.kinds():
        scoped = replace(config, scope=scope)
        found = diff_schemas("models", "chain", engine=engine, connect=create_engine, config=scoped)
        assert [str(one) for one in found if str(one) not in MODELS_CANNOT_SAY] == []


def test_the_committed_schema_is_what_the_migrations_make(engine: Engine) -> None:
    for path, snapshot in read_schema_files(engine).items():
        committed = Snapshot.from_text(path.read_text(encoding="utf-8"))
        if committed.database == snapshot.database:
            assert committed.to_text() == snapshot.to_text(), "make migrate-latest writes it"


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
