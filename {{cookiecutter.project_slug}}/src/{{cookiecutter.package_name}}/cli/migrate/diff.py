"""The command ``migrate diff``, which compares any two schemas."""

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ..common import Json, connect_to, database
from . import group

if TYPE_CHECKING:
    from ...migrate import SchemaDifference

SIDE = "models, chain, a database URL, a file, or tenant:ID in a multi-tenant service"


@group.command("diff")
def migrate_diff(
    first: Annotated[str, typer.Argument(metavar="A", help=SIDE)],
    second: Annotated[str, typer.Argument(metavar="B", help=SIDE)],
    as_json: Json = False,
) -> None:
    """Print the differences of schema B from schema A. Exit 1 if there are any."""
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
    """A difference as one line: ``-`` only in A, ``+`` only in B, ``~`` in both but different."""
    item = f"{one.kind} {one.name}"
    if not one.fact:
        return f"{'-' if one.change == 'missing' else '+'} {item}"
    return f"~ {item}: {one.fact}: {_short(one.expected)} -> {_short(one.found)}"


def _short(value: str | None) -> str:
    return "none" if value is None else " ".join(value.split())
