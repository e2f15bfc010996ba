"""Make, list and restore backups."""

import typer

group = typer.Typer(no_args_is_help=True, help=__doc__)

from . import keep, run  # noqa: E402, F401  (they add their commands to the group)
