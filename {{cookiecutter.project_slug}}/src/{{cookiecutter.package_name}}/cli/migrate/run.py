"""The commands that write, apply and undo migrations."""

from typing import Annotated

import typer

from ..common import (
    Json,
    OptionalName,
    Phase,
    Verbose,
    Yes,
    confirm_undoing_all,
    database,
    keep_schema_files,
    leave_where_files_are_missing,
    relative,
    report,
)
from ..linting import look_before_running, tell_of_new
from ..output import print_new
from . import group


@group.command("make")
def migrate_make(
    name: Annotated[str, typer.Argument(help="Its name, for example add_user_avatar.")],
    empty: Annotated[bool, typer.Option(help="Leave the file blank.")] = False,
    merge: Annotated[bool, typer.Option(help="Join several heads.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Write what Alembic generates.")] = False,
    phase: Phase = "expand",
) -> None:
    """Write a migration with the difference between the models and the database."""
    from ...migrate import make_migration

    with database() as (engine, config):
        new = make_migration(
            engine, name, empty=empty, merge=merge, plain=plain, phase=phase, config=config
        )
        print_new(new, relative)
        keep_schema_files(engine, config)
    if new.differences:
        tell_of_new(new)


@group.command("latest")
def migrate_latest(
    sql: Annotated[bool, typer.Option("--sql", help="Print the SQL; change nothing.")] = False,
    allow_changed: Annotated[
        bool,
        typer.Option(
            "--allow-changed", help="Accept files that were edited after they were applied."
        ),
    ] = False,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Apply all pending migrations as one batch."""
    from ...migrate import migration_sql, run_migrations

    with database() as (engine, config):
        if sql:
            print(migration_sql(engine, config=config), end="")
            return
        look_before_running(engine)
        result = run_migrations(engine, config=config, allow_changed=allow_changed)
        report(result, "run", verbose=verbose, as_json=as_json)
        if result.migrations and not as_json:
            keep_schema_files(engine, config)


@group.command("up")
def migrate_up(name: OptionalName = None, verbose: Verbose = False, as_json: Json = False) -> None:
    """Apply the next pending migration as its own batch."""
    from ...migrate import migrate_up

    with database() as (engine, config):
        look_before_running(engine, next_only=True)
        result = migrate_up(engine, name, config=config)
    report(result, "run", verbose=verbose, as_json=as_json)


@group.command("down")
def migrate_down(
    name: OptionalName = None, verbose: Verbose = False, as_json: Json = False
) -> None:
    """Undo the newest applied migration."""
    from ...migrate import migrate_down

    with database() as (engine, config):
        result = migrate_down(engine, name, config=config)
    report(result, "rolled back", verbose=verbose, as_json=as_json)


@group.command("rollback")
def migrate_rollback(
    everything: Annotated[bool, typer.Option("--all", help="Undo all batches.")] = False,
    yes: Yes = False,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Undo the newest batch, last applied first."""
    from ...migrate import rollback_migrations

    if everything:
        confirm_undoing_all(yes=yes)
    with database() as (engine, config):
        result = rollback_migrations(engine, everything=everything, config=config)
    report(result, "rolled back", verbose=verbose, as_json=as_json, everything=everything)


@group.command("status")
def migrate_status(as_json: Json = False) -> None:
    """Show applied and pending migrations, and any problem."""
    from ...migrate import get_migration_status
    from ..output import print_status, summary

    with database() as (engine, config):
        status = get_migration_status(engine, config=config)
    if not as_json:
        print(summary(status))
    print_status(status, as_json=as_json)
    leave_where_files_are_missing(status)
