"""Create, list, migrate, audit and remove tenants."""

import json
import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from ..words import count
from .common import Json, database
from .linting import look_before_running
from .output import print_differences, print_failure, print_rows, shown
from .tenant_errors import drop_not_confirmed

if TYPE_CHECKING:
    from ..migrate import AllTenantsResult, TenantResult, TenantsTakenOver, TenantsVerified

_SINCE_RUN = {
    True: " changed since its last run",
    False: " not changed since its last run",
    None: "",
}

group = typer.Typer(no_args_is_help=True, help=__doc__)

Id = Annotated[str, typer.Argument(help="Letters a-z, digits and underscores.")]


@group.command("create")
def create(
    tenant: Id,
    name: Annotated[str | None, typer.Option(help="Its name for people. Default: its id.")] = None,
) -> None:
    """Create a tenant: a schema with every table, and a row in the registry."""
    from ..migrate import run_tenant_migrations

    with database() as (engine, config):
        run = run_tenant_migrations(engine, tenant, display_name=name, config=config)
    result = run.raise_for_error()
    print(f"Created tenant {tenant}" if result.created else f"Tenant {tenant} already exists")


@group.command("list")
def list_all(as_json: Json = False) -> None:
    """List all tenants."""
    from ..migrate import list_tenants

    with database() as (engine, _):
        tenants = list_tenants(engine)
    if as_json:
        print(json.dumps([asdict(tenant) for tenant in tenants], default=str))
        return
    rows = [(row.id, row.name, row.status, row.revision or "none") for row in tenants]
    print_rows(("Id", "Name", "Status", "Revision"), rows)


@group.command("migrate")
def migrate(
    tenant: Annotated[str | None, typer.Argument(help="One tenant. Default: all.")] = None,
    max_failures: Annotated[
        int | None, typer.Option(help="Stop after this number of failures.", min=1)
    ] = None,
    as_json: Json = False,
) -> None:
    """Migrate one tenant, or the shared schema and all tenants, to the newest revision."""
    from ..migrate import (
        AllTenantsResult,
        MigrationResult,
        run_all_tenant_migrations,
        run_tenant_migrations,
    )
    from ..migrate.tenants import find_tenant
    from .tenant_progress import tenants_shown

    with database() as (engine, config), tenants_shown(config) as config:
        look_before_running(engine)
        if tenant is None:
            run = run_all_tenant_migrations(engine, config=config, max_failures=max_failures)
        else:
            find_tenant(engine, tenant)
            one = run_tenant_migrations(engine, tenant, config=config)
            run = AllTenantsResult(MigrationResult(success=True), (one,))
    report_tenants(run, as_json=as_json)


@group.command("drop")
def drop(
    tenant: Id,
    yes: Annotated[
        bool, typer.Option("--yes", help="Confirm that all its data is removed.")
    ] = False,
) -> None:
    """Remove a tenant with all its data."""
    from ..migrate import drop_tenant

    if not yes:
        raise drop_not_confirmed(tenant)
    with database() as (engine, config):
        drop_tenant(engine, tenant, config=config)
    print(f"Dropped tenant {tenant}")


@group.command("audit")
def audit(
    repair: Annotated[bool, typer.Option("--repair", help="Correct the registry.")] = (False),
    as_json: Json = False,
) -> None:
    """Compare the registry with the schemas. Exit 1 if they differ and are not repaired."""
    from ..migrate import audit_tenants

    with database() as (engine, config):
        findings = audit_tenants(engine, repair=repair, config=config)
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings]))
    for finding in [] if as_json else findings:
        print(f"{finding.tenant}: {finding.problem}; {finding.repair}")
    if not findings and not as_json:
        print("Registry and schemas agree")
    if findings and not repair:
        sys.exit(1)


@group.command("verify")
def verify(
    tenant: Annotated[str | None, typer.Argument(help="One tenant. Default: all.")] = None,
    as_json: Json = False,
) -> None:
    """Compare the tenants' schemas with what the migrations make. Exit 1 if one differs."""
    from ..migrate import verify_tenants
    from ..migrate.tenants import find_tenant

    with database() as (engine, config):
        if tenant is not None:
            find_tenant(engine, tenant)
        verified = verify_tenants(engine, tenant and [tenant], config=config)
    print_verified(verified, as_json=as_json)


@group.command("baseline")
def baseline(
    tenant: Annotated[
        str | None,
        typer.Argument(help="One tenant. Default: all whose schema has tables and no history."),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            help="The last migration that they already have. Default: public's.", metavar="NAME"
        ),
    ] = None,
    accept_differences: Annotated[
        str | None,
        typer.Option(help="Accept the differences, for this reason.", metavar="REASON"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Record migrations as applied to existing tenants' schemas, without running them.

    It first compares each schema with what the migrations make, and records nothing if it differs.
    """
    from ..migrate import take_over_tenants

    with database() as (engine, config):
        found = take_over_tenants(
            engine,
            None if tenant is None else [tenant],
            name=at,
            accept_differences=accept_differences,
            config=config,
        )
    print_taken_over(found, as_json=as_json)


@group.command("roles")
def roles() -> None:
    """Create the missing database roles of tenants, for TENANT_ROLES=true."""
    from ..migrate.tenants import make_tenant_roles
    from .tenant_progress import RoleLines

    with database() as (engine, config):
        config = replace(config, observer=RoleLines())
        if not make_tenant_roles(engine, config=config):
            print("Every tenant has its role")


def print_verified(verified: "TenantsVerified", *, as_json: bool) -> None:
    """Print the tenants that differ with their differences, and exit 1 if there are any."""
    if as_json:
        error = verified.error and verified.error.as_dict()
        values = asdict(replace(verified, error=None))
        print(json.dumps(values | {"success": verified.success, "error": error}))
    elif verified.error is None:
        for one in verified.drifted:
            print(f"Tenant {one.tenant}{_SINCE_RUN[one.changed_since_run]}:")
            print_differences(one.differences)
        drifted = len(verified.drifted)
        print(f"Tenants: {verified.compared - drifted} in step, {drifted} differ")
        if verified.not_compared:
            behind = count(len(verified.not_compared), "tenant")
            print(
                f"{behind} not compared, because not at the shared schema's revision: tenant list"
            )
    if verified.error is not None and not as_json:
        print_failure(verified.error)
    if not verified.success:
        sys.exit(1)


def print_taken_over(found: "TenantsTakenOver", *, as_json: bool) -> None:
    """Print the tenants that were taken over, and exit 1 if one was not."""
    if as_json:
        error = found.error and found.error.as_dict()
        values = asdict(replace(found, error=None))
        print(json.dumps(values | {"success": found.success, "error": error}))
    elif found.error is None or found.tenants:
        for one in found.drifted:
            print(f"Tenant {one.tenant}:")
            print_differences(one.differences)
        migrations = count(len(found.migrations), "migration")
        print(f"Taken over: {count(len(found.tenants), 'tenant')}, {migrations} recorded in each")
        if found.tenants:
            print("No rollback undoes these migrations, not even rollback --all")
    if found.error is not None and not as_json:
        print_failure(found.error)
    if not found.success:
        sys.exit(1)


def report_tenants(run: "AllTenantsResult", *, as_json: bool = False) -> None:
    """Print the result for the tenants, and exit 1 if one or the shared schema failed."""
    if as_json:
        tenants = {"tenants": [_shown(result) for result in run.tenants]}
        print(json.dumps(shown(run.public) | tenants))
    elif run.tenants:
        print(f"Tenants: {len(run.tenants) - len(run.failed)} migrated, {len(run.failed)} failed")
        for result in run.failed:
            print(f"{result.tenant}: {result.error.problem if result.error else 'failed'}")
    if run.public.error is not None:
        print_failure(run.public.error)
    if not run.success:
        sys.exit(1)


def _shown(result: "TenantResult") -> dict[str, object]:
    return {
        "tenant": result.tenant,
        "success": result.success,
        "created": result.created,
        "migrations": result.migrations,
        "error": result.error and result.error.as_dict(),
        "duration": result.duration,
    }
