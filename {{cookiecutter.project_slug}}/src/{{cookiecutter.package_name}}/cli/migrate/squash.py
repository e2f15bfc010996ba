"""The command ``migrate squash``, which replaces many migrations by one."""

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ...words import count
from ..common import Json, database, relative
from ..output import print_differences, print_failure
from . import group

if TYPE_CHECKING:
    from ...migrate import SquashResult


@group.command("squash")
def migrate_squash(
    name: Annotated[str, typer.Argument(help="The last migration to replace.")],
    as_json: Json = False,
) -> None:
    """Write one migration that replaces those up to NAME, and remove their files.

    It must make the same schema in an empty database; otherwise nothing is written.
    """
    from ...migrate import squash_migrations

    with database() as (engine, config):
        result = squash_migrations(engine, name, config=config)
    if as_json:
        print(json.dumps(_shown(result)))
    else:
        _tell(result)
    if not result.success:
        sys.exit(1)


def _tell(result: "SquashResult") -> None:
    if result.error is not None:
        print_failure(result.error)
        return
    print_differences(result.differences)
    if result.path is None:
        differences = count(len(result.differences), "difference")
        print(f"Nothing was written: {differences} between the new schema and the migrations' own.")
        return
    print(f"Created {relative(result.path)}: it makes the same schema in an empty database")
    files = count(len(result.replaced), "file")
    print(f"Removed {files}, which git has: {', '.join(result.replaced)}")
    if result.with_rows:
        print(f"It writes no rows; these read or wrote some: {', '.join(result.with_rows)}")


def _shown(result: "SquashResult") -> dict[str, object]:
    return {
        "success": result.success,
        "path": result.path and str(result.path),
        "replaced": result.replaced,
        "with_rows": result.with_rows,
        "differences": [asdict(one) for one in result.differences],
        "error": result.error and result.error.as_dict(),
    }
