"""The commands ``backup list`` and ``backup forget``."""

import json
from typing import Annotated

import typer

from ..common import Json
from ..output import print_rows
from . import group
from .common import Yes, backups, confirm, say, size
from .errors import not_kept

COLUMNS = ("Backup", "Made (UTC)", "Revision", "Tenants", "Size", "Version")


@group.command("list")
def backup_list(as_json: Json = False) -> None:
    """List this service's backups, newest first."""
    from ...migrate import list_backups

    with backups() as (_, config, options):
        found = list_backups(config, options, lambda error: say(error.problem))
    if as_json:
        print(json.dumps([manifest.as_dict() for manifest in found], default=str))
        return
    rows = [
        (
            manifest.name,
            f"{manifest.created_at:%Y-%m-%d %H:%M:%S}",
            manifest.revision or "none",
            str(len(manifest.tenants)) if manifest.tenants else "",
            size(manifest.size),
            manifest.version or "",
        )
        for manifest in found
    ]
    print_rows(COLUMNS, rows)


@group.command("forget")
def backup_forget(
    name: Annotated[
        str | None, typer.Argument(help="The name that restore printed. Default: list all.")
    ] = None,
    yes: Yes = False,
) -> None:
    """Remove the old database that a restore has kept; without a name, list them."""
    from ...migrate import forget_kept, list_kept

    with backups() as (engine, _, _):
        kept = list_kept(engine)
        if name is None:
            print(*(kept or ["Nothing is kept"]), sep="\n")
            return
        if name not in kept:
            raise not_kept(name)
        confirm(f"This removes {name}", f"backup forget {name}", yes=yes)
        forget_kept(engine, name)
    print(f"Removed {name}")
