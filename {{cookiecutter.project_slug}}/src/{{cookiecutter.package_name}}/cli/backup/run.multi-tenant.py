"""The commands that make and restore backups, of one tenant or of all."""

from typing import Annotated

import typer

from ..common import Json
from . import group
from .common import Name, To, Yes, backups, confirm, report_created, report_restored

OptionalTenant = Annotated[
    str | None, typer.Option("--tenant", help="Only this tenant.", metavar="ID")
]


@group.command("create")
def backup_create(tenant: OptionalTenant = None, as_json: Json = False) -> None:
    """Save the database, or one tenant, as it is now."""
    from ...migrate import create_backup
    from ...migrate.tenants import create_tenant_backup

    with backups() as (engine, config, options):
        if tenant is None:
            manifest = create_backup(engine, config, options)
        else:
            manifest = create_tenant_backup(engine, config, options, tenant)
    report_created(manifest, as_json=as_json)


@group.command("restore")
def backup_restore(
    name: Name, tenant: OptionalTenant = None, to: To = None, yes: Yes = False
) -> None:
    """Replace the database, or one tenant, by a backup; the old one is kept until backup forget."""
    from ...migrate import restore_backup
    from ...migrate.tenants import restore_tenant

    command = f"backup restore {name}" + (f" --tenant {tenant}" if tenant else "")
    with backups(to) as (engine, config, options):
        database = engine.url.render_as_string()
        replaced = f"the tenant {tenant} in {database}" if tenant else database
        confirm(f"This replaces {replaced} by {name}", command, yes=yes)
        if tenant is None:
            restored = restore_backup(engine, config, options, name)
        else:
            restored = restore_tenant(engine, config, options, name, tenant)
    report_restored(name, restored)
