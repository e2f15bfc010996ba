"""The commands that write, apply and undo migrations, for all schemas."""

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
from ..tenant import report_tenants
from . import group

OptionalTenant = Annotated[
    str | None, typer.Option("--tenant", help="Only this tenant.", metavar="ID")
]


@group.command("make")
def migrate_make(
    name: Annotated[str, typer.Argument(help="Its name, for example add_user_avatar.")],
    shared: Annotated[bool, typer.Option(help="For the shared schema, not for tenants.")] = False,
    empty: Annotated[bool, typer.Option(help="Leave the file blank.")] = False,
    merge: Annotated[bool, typer.Option(help="Join several heads.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Write what Alembic generates.")] = False,
    phase: Phase = "expand",
) -> None:
    """Write a migration with the difference between the models and the database."""
    from ...migrate import make_migration
    from ...migrate.tenants import config_for_making

    with database() as (engine, config):
        scoped = config_for_making(engine, config, shared=shared, blank=empty or merge)
        new = make_migration(
            engine, name, empty=empty, merge=merge, plain=plain, phase=phase, config=scoped
        )
        print_new(new, relative)
        keep_schema_files(engine, config)
    if new.differences:
        tell_of_new(new)


@group.command("latest")
def migrate_latest(
    sql: Annotated[bool, typer.Option("--sql", help="Print public's SQL; change nothing.")] = False,
    allow_changed: Annotated[
        bool,
        typer.Option(
            "--allow-changed", help="Accept files that were edited after they were applied."
        ),
    ] = False,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Apply all pending migrations to the shared schema, then to each tenant's."""
    from ...migrate import migration_sql, run_all_tenant_migrations
    from ..tenant_progress import tenants_shown

    with database() as (engine, config), tenants_shown(config) as config:
        if sql:
            print(migration_sql(engine, config=config), end="")
            return
        look_before_running(engine)
        run = run_all_tenant_migrations(engine, config=config, allow_changed=allow_changed)
        if not as_json:
            report(run.public, "run", verbose=verbose)
        report_tenants(run, as_json=as_json)
        if run.public.migrations and not as_json:
            keep_schema_files(engine, config)


@group.command("up")
def migrate_up(name: OptionalName = None, verbose: Verbose = False, as_json: Json = False) -> None:
    """Apply the next pending migration to all schemas."""
    from ...migrate.tenants import next_pending, pending_called, run_all_tenant_migrations
    from ..tenant_progress import tenants_shown

    choose = next_pending if name is None else pending_called(name)
    with database() as (engine, config), tenants_shown(config) as config:
        look_before_running(engine, next_only=True)
        run = run_all_tenant_migrations(engine, choose=choose, config=config)
    if not as_json:
        report(run.public, "run", verbose=verbose)
    report_tenants(run, as_json=as_json)


@group.command("down")
def migrate_down(
    name: OptionalName = None, verbose: Verbose = False, as_json: Json = False
) -> None:
    """Undo the newest applied migration in all schemas."""
    from ...migrate.tenants import applied_called, newest, rollback_all_tenants
    from ..tenant_progress import tenants_shown

    choose = newest if name is None else applied_called(name)
    with database() as (engine, config), tenants_shown(config) as config:
        run = rollback_all_tenants(engine, choose=choose, config=config)
    if not as_json:
        report(run.public, "rolled back", verbose=verbose)
    report_tenants(run, as_json=as_json)


@group.command("rollback")
def migrate_rollback(
    everything: Annotated[bool, typer.Option("--all", help="Undo all batches.")] = False,
    tenant: OptionalTenant = None,
    yes: Yes = False,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Undo the shared schema's newest batch, and roll every tenant back to the same revision."""
    from ...migrate.tenants import (
        every_batch,
        newest_batch,
        rollback_all_tenants,
        rollback_tenant,
    )
    from ..tenant_progress import tenants_shown

    if everything:
        confirm_undoing_all(yes=yes)
    choose = every_batch if everything else newest_batch
    with database() as (engine, config), tenants_shown(config) as config:
        if tenant is not None:
            alone = rollback_tenant(engine, tenant, choose=choose, config=config)
            report(alone, "rolled back", verbose=verbose, as_json=as_json, everything=everything)
            return
        run = rollback_all_tenants(engine, choose=choose, config=config)
    if not as_json and run.public.success:
        report(run.public, "rolled back", verbose=verbose, everything=everything)
    report_tenants(run, as_json=as_json)


@group.command("status")
def migrate_status(
    tenants: Annotated[
        bool, typer.Option("--tenants", help="Also show the number of tenants at each revision.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the shared schema's applied and pending migrations, and any problem."""
    from ...migrate import get_migration_status
    from ...migrate.tenants import count_by_revision
    from ..output import print_rows, print_status, summary

    with database() as (engine, config):
        status = get_migration_status(engine, config=config)
        counts = count_by_revision(engine) if tenants else []
    if not as_json:
        print(summary(status))
    print_status(status, as_json=as_json)
    if tenants:
        rows = [(revision or "none", state, str(count)) for revision, state, count in counts]
        print_rows(("Revision", "Status", "Tenants"), rows)
    leave_where_files_are_missing(status)
