"""The commands ``migrate verify`` and ``migrate snapshot``."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .. import errors
from ..common import Json, database
from ..output import print_differences, print_failure
from . import group

if TYPE_CHECKING:
    from ...migrate import VerifyResult


@group.command("verify")
def migrate_verify(as_json: Json = False) -> None:
    """Compare the database with what its migrations make. Exit 1 if they differ."""
    from ...migrate import verify_schema

    with database() as (engine, config):
        result = verify_schema(engine, config=config)
    if as_json:
        print(json.dumps(shown(result)))
    elif result.success:
        print(f"In step: the schema is what its migrations make{_behind(result)}")
    elif result.error is None:
        print_differences(result.differences)
        print(f"The schema differs from what its migrations make{_behind(result)}{_since(result)}")
    if result.error is not None and not as_json:
        print_failure(result.error)
    if not result.success:
        sys.exit(1)


@group.command("snapshot")
def migrate_snapshot(
    out: Annotated[Path | None, typer.Option("--out", help="Write to this file.")] = None,
) -> None:
    """Print the database's schema as text, for people and for git."""
    from ...migrate import snapshot_schema

    with database() as (engine, config):
        text = snapshot_schema(engine, config=config).to_text()
    if out is None:
        print(text, end="")
    else:
        try:
            out.write_text(text, encoding="utf-8", newline="\n")
        except OSError as error:
            raise errors.file_not_written(out, error) from error
        print(f"Wrote {out}")


def shown(result: "VerifyResult") -> dict[str, object]:
    """A result as JSON."""
    return {
        "success": result.success,
        "differences": [asdict(one) for one in result.differences],
        "pending": result.pending,
        "changed_since_run": result.changed_since_run,
        "error": result.error and result.error.as_dict(),
    }


def _behind(result: "VerifyResult") -> str:
    return f" ({len(result.pending)} pending, not compared)" if result.pending else ""


def _since(result: "VerifyResult") -> str:
    if result.changed_since_run is None:
        return ". No run has recorded a fingerprint."
    if result.changed_since_run:
        return ". It has changed since the last run."
    return ". It has not changed since the last run."
