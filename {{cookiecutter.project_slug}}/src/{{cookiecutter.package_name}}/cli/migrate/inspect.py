"""The commands ``migrate list``, ``current`` and ``unlock``."""

from typing import Annotated

import typer

from ..common import Json, database, leave_where_files_are_missing
from . import group


@group.command("list")
def migrate_list(as_json: Json = False) -> None:
    """List completed and pending migrations."""
    from ...migrate import get_migration_status
    from ..output import print_status

    with database() as (engine, config):
        status = get_migration_status(engine, config=config)
    print_status(status, as_json=as_json)
    leave_where_files_are_missing(status)


@group.command("current")
def migrate_current() -> None:
    """Print the current revision, or none."""
    from ...migrate import get_migration_status

    with database() as (engine, config):
        print(get_migration_status(engine, config=config).current or "none")


@group.command("unlock")
def migrate_unlock(
    force: Annotated[bool, typer.Option("--force", help="End the holder's session.")] = False,
) -> None:
    """Show who migrates now. The lock ends with its holder, so ``--force`` is seldom needed."""
    from ...migrate import get_lock_holder, unlock

    with database() as (engine, _):
        holder = unlock(engine) if force else get_lock_holder(engine)
    if holder is None:
        print("Nobody holds the migration lock")
    else:
        print(f"{'Ended' if force else 'Held by'} {holder}")
