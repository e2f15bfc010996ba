"""The command of ``migrate`` that compares any two schemas."""

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ..common import Json, connect_to, database
from . import group

if TYPE_CHECKING:
    from ...migrate import SchemaDifference

SIDE = "models, chain, an address, a file, or tenant:ID where there are tenants"


@group.command("diff")
def migrate_diff(
    first: Annotated[str, typer.Argument(metavar="A", help=SIDE)],
    second: Annotated[str, typer.Argument(metavar="B", help=SIDE)],
    as_json: Json = False,
) -> None:
    """Print in what schema B differs from schema A. Exit 1 when they differ."""
    from ...migrate import diff_schemas

    with database() as (engine, config):
        found = diff_schemas(first, second, engine=engine, connect=connect_to, config=config)
    if as_json:
        print(json.dumps([asdict(one) for one in found]))
    else:
        for one in found:
            print(as_line(one))
    if found:
        sys.exit(1)


def as_line(one: "SchemaDifference") -> str:
    """A difference as a line: ``-`` what only A has, ``+`` what only B has, ``~`` what both have."""
    item = f"{one.kind} {one.name}"
    if not one.fact:
        return f"{'-' if one.change == 'missing' else '+'} {item}"
    return f"~ {item}: {one.fact}: {_short(one.expected)} -> {_short(one.found)}"


def _short(value: str | None) -> str:
    return "none" if value is None else " ".join(value.split())
