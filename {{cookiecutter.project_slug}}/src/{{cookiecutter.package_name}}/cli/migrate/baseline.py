"""The command ``migrate baseline``, which takes over an existing database."""

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ...words import count
from ..common import Json, OptionalName, database
from ..output import print_differences, print_failure
from . import group

if TYPE_CHECKING:
    from ...migrate import BaselineResult


@group.command("baseline")
def migrate_baseline(
    name: OptionalName = None,
    accept_differences: Annotated[
        str | None,
        typer.Option(help="Accept the differences, for this reason.", metavar="REASON"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Record the migrations up to NAME as applied to an existing database, without running them.

    It first compares the database with what they make, and records nothing if the two differ.
    """
    from ...migrate import take_over

    with database() as (engine, config):
        result = take_over(engine, name, accept_differences=accept_differences, config=config)
    if as_json:
        print(json.dumps(_shown(result)))
    else:
        _tell(result)
    if not result.success:
        sys.exit(1)


def _tell(result: "BaselineResult") -> None:
    if result.error is not None:
        print_failure(result.error)
        return
    for table, tool in result.other_tools.items():
        print(f"Table {table} belongs to {tool}: not compared")
    print_differences(result.differences)
    differences = count(len(result.differences), "difference")
    if not result.success:
        print(f"Nothing was recorded: {differences}. Alter the database or the migrations, or")
        print('give a reason: migrate baseline --accept-differences "REASON"')
        return
    accepted = f" {differences} accepted." if result.differences else ""
    print(f"Taken over: {count(len(result.migrations), 'migration')} recorded, none run.{accepted}")
    print("No rollback undoes these migrations, not even rollback --all")


def _shown(result: "BaselineResult") -> dict[str, object]:
    return {
        "success": result.success,
        "migrations": result.migrations,
        "differences": [asdict(one) for one in result.differences],
        "other_tools": result.other_tools,
        "error": result.error and result.error.as_dict(),
    }
