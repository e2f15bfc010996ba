"""The command ``migrate contract``: apply contracts when older instances have ended."""

from dataclasses import replace
from typing import Annotated

import typer

from ..common import Json, Verbose, database, report
from ..errors import gate_shut
from ..linting import look_before_running
from . import group


@group.command("contract")
def migrate_contract(
    wait: Annotated[
        float, typer.Option(help="Seconds to wait until instances without the contract end.", min=0)
    ] = 0,
    force: Annotated[
        bool, typer.Option("--force", help="Do not wait: instances without the contract may fail.")
    ] = False,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Apply all pending migrations, contracts included. Exit 1 if one is still held back."""
    from ...migrate import make_instances_table, wait_for_gate
    from ...migrations.target import apply_pending

    with database() as (engine, config):
        look_before_running(engine)
        make_instances_table(engine, config=config)
        if not force:
            wait_for_gate(engine, wait, config=config)
        result = apply_pending(engine, replace(config, force_contracts=force))
    if result.success and result.held_back:
        raise gate_shut(result.held_back, result.held_by, result.migrations)
    report(result, "run", verbose=verbose, as_json=as_json)
