"""The commands that make and restore backups."""

from ..common import Json
from . import group
from .common import Name, To, Yes, backups, confirm, report_created, report_restored


@group.command("create")
def backup_create(as_json: Json = False) -> None:
    """Save the database as it is now."""
    from ...migrate import create_backup

    with backups() as (engine, config, options):
        manifest = create_backup(engine, config, options)
    report_created(manifest, as_json=as_json)


@group.command("restore")
def backup_restore(name: Name, to: To = None, yes: Yes = False) -> None:
    """Replace the database by a backup; the old one is kept until backup forget."""
    from ...migrate import restore_backup

    with backups(to) as (engine, config, options):
        database = engine.url.render_as_string()
        confirm(f"This replaces {database} by {name}", f"backup restore {name}", yes=yes)
        restored = restore_backup(engine, config, options, name)
    report_restored(name, restored)
