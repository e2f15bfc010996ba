"""Insert initial or demonstration rows."""

from pathlib import Path
from typing import Annotated

import typer

from . import errors
from .common import OptionalName, database, relative
from .output import report_seeds

SEEDS = Path(__file__).parents[1] / "seeds"

group = typer.Typer(no_args_is_help=True, help=__doc__)


@group.command("make")
def seed_make(
    name: Annotated[str, typer.Argument(help="Its name, for example demo_users.")],
) -> None:
    """Write a blank seed."""
    from ..migrate import make_seed

    print(f"Created {relative(make_seed(SEEDS, name))}")


@group.command("run")
def seed_run(
    name: OptionalName = None,
    force: Annotated[bool, typer.Option("--force", help="Also in production.")] = False,
) -> None:
    """Run all seeds in file order, or one."""
    from ..migrate import run_seeds
    from ..settings import load_settings

    if load_settings(serving=False).in_production and not force:
        raise errors.seeds_in_production()
    with database() as (engine, _):
        result = run_seeds(engine, SEEDS, name)
    report_seeds(result)
