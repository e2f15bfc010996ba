"""Change the database's schema, with Knex's commands."""

import typer

group = typer.Typer(no_args_is_help=True, help=__doc__)

from . import baseline, contract, diff, history, inspect, lint, run, squash, verify  # noqa: E402, F401  (they add their commands to the group)
