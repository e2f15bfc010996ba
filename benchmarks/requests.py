"""Requests per second, compared with a FastAPI application of thirty lines and a known template.

All servers run at once, and get requests in turn for a few seconds each, so that other load of the
machine affects all of them. Read the ratios; the rates are from one machine on one day. ``wrk``
sends the requests (Debian: apt install wrk), ``py-spy`` measures the layers (uv fetches it).
"""

import csv
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import psycopg

from tools import newest_python, services
from tools.process import clean_environment, end_group, succeed

RESULTS = Path(__file__).parent / "results"
PEERS = Path(__file__).parent / "request_peers"
FULL_STACK = services.CACHE / "benchmarks" / "requests" / "full-stack-fastapi-template"
FULL_STACK_ADDRESS = "https://github.com/fastapi/full-stack-fastapi-template"
CREATE_ALL = """
from app import models
from app.core.db import engine
models.SQLModel.metadata.create_all(engine)
"""
ROUNDS = int(os.environ.get("REQUESTS_ROUNDS", "7"))
SECONDS = float(os.environ.get("REQUESTS_SECONDS", "3"))
PROFILE_SECONDS = 10
CLIENTS = (16, 200)
SECRET = "a secret of thirty-two letters, or more"
OURS, THIRTY, SILENT, TEMPLATE = "ours", "30 lines", "30 lines, no log", "full-stack template"
PEER_NAMES = (THIRTY, SILENT, TEMPLATE)

# As in production, except mail and TLS: hosts are checked, a line of JSON for each request.
OUR_VARIABLES = {
    "ALLOWED_HOSTS": "127.0.0.1",
    "DOCS_ENABLED": "false",
    "JWT_SECRET": SECRET,
    "LOG_FORMAT": "json",
    "METRICS_ENABLED": "false",
}

# The layer of a line of the profile: the innermost of these.
LAYERS = (
    ("the pool, sessions, statements and rows (SQLAlchemy)", "/sqlalchemy/"),
    ("the driver (psycopg)", "/psycopg"),
    ("tokens (PyJWT)", "/jwt/"),
    ("the answer's JSON (pydantic)", "/pydantic"),
    ("dependencies and routing (FastAPI)", "/fastapi/"),
    ("routing and responses (Starlette)", "/starlette/"),
    ("threads (AnyIO)", "/anyio/"),
    ("HTTP (uvicorn, httptools)", "/uvicorn/"),
    ("the log (structlog, logging)", "/structlog/"),
    ("the log (structlog, logging)", "/logging/"),
    ("our middleware and log line", "my_service/web/request_log.py"),
    ("our middleware and log line", "my_service/web/middleware.py"),
    ("our middleware and log line", "my_service/web/problem_details.py"),
    ("our middleware and log line", "my_service/observability/"),
    ("our lanes: threads and places", "my_service/web/lanes.py"),
    ("our lanes: threads and places", "my_service/web/dependencies.py"),
    ("our HTTP server", "my_service/web/http_server.py"),
    ("our accounts", "my_service/accounts/"),
    ("our sessions", "my_service/database/"),
    ("our other code", "my_service/"),
    ("the thirty lines", "thirty_lines.py"),
)
REST = "the event loop and threads (uvloop, asyncio, threading)"


@dataclass
class App:
    """A running application, and the request for the current user."""

    process: psutil.Process
    address: str
    headers: dict[str, str]
    me: str = "/users/me"


@dataclass
class Case:
    """The same request to several applications."""

    name: str
    paths: dict[str, str]
    apps: dict[str, App]
    rates: dict[tuple[int, str], list[float]] = field(default_factory=dict)
    cpu: dict[tuple[int, str], list[float]] = field(default_factory=dict)
    failed: Counter[tuple[int, str]] = field(default_factory=Counter)
    profiles: dict[str, Counter[str]] = field(default_factory=dict)

    def measure(self, clients: int, *, is_counted: bool) -> None:
        """Measure each application once, in turn."""
        for name, path in self.paths.items():
            app = self.apps[name]
            before = cpu_of(app)
            answered, failed, took = ask(app, path, clients)
            if not is_counted:
                continue
            self.rates.setdefault((clients, name), []).append(answered / took)
            used = (cpu_of(app) - before) / max(answered, 1) * 1e6
            self.cpu.setdefault((clients, name), []).append(used)
            self.failed[clients, name] += failed

    def ratio(self, clients: int, peer: str) -> float | None:
        """Our rate divided by the peer's: the median of the rounds. None without an answer."""
        pairs = zip(self.rates[clients, OURS], self.rates[clients, peer], strict=True)
        if median(self.rates[clients, peer]) < 1:
            return None
        return median(ours / theirs if theirs else float("inf") for ours, theirs in pairs)

    def microseconds(self, name: str) -> dict[str, float]:
        """The processor time of one request, by layer."""
        lines = self.profiles[name]
        whole = median(self.cpu[CLIENTS[0], name])
        return {layer: whole * count / lines.total() for layer, count in lines.items()}


def main() -> None:
    """Measure, and write ``results/requests.*``."""
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing: install it (Debian: apt install wrk).")
    scratch = Path(tempfile.mkdtemp(prefix="saasquatch-requests-"))
    try:
        with ExitStack() as running:
            cases = list(begin(running, scratch))
            few, many = CLIENTS
            measure(cases, few)
            for case in cases:
                for name in (OURS, THIRTY):
                    case.profiles[name] = profile(case.apps[name], case.paths[name], scratch)
            measure(cases, many)  # last: the thirty lines do not recover from it at once
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    report(cases)


def measure(cases: list[Case], clients: int) -> None:
    """All rounds; a first round, which fills caches, is not counted."""
    for number in range(ROUNDS + 1):
        print(f"{clients} clients, round {number} of {ROUNDS}", file=sys.stderr)
        for case in cases:
            case.measure(clients, is_counted=number > 0)


# -- Servers and requests ------------------------------------------------------------------------


def begin(running: ExitStack, scratch: Path) -> Iterator[Case]:
    """Start everything; return the cases to measure."""
    python = services.environment(newest_python.find())
    server = running.enter_context(services.postgresql())
    names = {"postgresql": "PostgreSQL", "sqlite": "SQLite", "postgresql-multi-tenant": "a tenant"}
    for database, name in names.items():
        app, address = start_ours(running, server, database, scratch)
        headers, theirs = app.headers, address
        if database == "postgresql-multi-tenant":
            theirs = f"{address}&options=-csearch_path%3Dtenant_acme"
        started = {OURS: app}
        for peer, log in ((THIRTY, ()), (SILENT, ("--no-access-log",))):
            thirty: list[str | Path] = [
                python.python,
                "-m",
                "uvicorn",
                "thirty_lines:app",
                *log,
                "--port",
            ]
            variables = {"DATABASE_URL": theirs, "JWT_SECRET": SECRET}
            started[peer] = start(running, thirty, PEERS, variables, headers)
        if database == "postgresql" and (theirs_too := full_stack(running, server)):
            started[TEMPLATE] = theirs_too
        yield Case(f"`/users/me`, {name}", {n: app.me for n, app in started.items()}, started)
        if database == "postgresql":
            yield Case("`/health/ready`", all_same("/health/ready"), started)
            lives = all_same("/health/live")
            if TEMPLATE in started:
                lives[TEMPLATE] = "/api/v1/utils/health-check/"
            yield Case("`/health/live`", lives, started)


def start_ours(running: ExitStack, server: str, database: str, scratch: Path) -> tuple[App, str]:
    """A generated service with a signed-in user, and the address of its database."""
    python = services.environment(newest_python.find())
    folder = scratch / database
    folder.mkdir()
    with services.nothing_printed():
        project = services.bake(folder, database=database)
    address = new_database(running, server, database, scratch)
    path = {"PYTHONPATH": f"{project / 'src'}{os.pathsep}{project}"}
    variables = {**OUR_VARIABLES, "DATABASE_URL": address, **path}
    prepared = succeed(python.python, PEERS / "prepare.py", cwd=project, variables=variables)
    headers = {"Authorization": f"Bearer {prepared.split()[-1]}"}
    if database == "postgresql-multi-tenant":
        headers["X-Tenant-ID"] = "acme"
    ours: list[str | Path] = [python.python, "-m", "my_service", "serve", "--port"]
    return start(running, ours, project, variables, headers), address


def all_same(path: str) -> dict[str, str]:
    """One path for all applications that have it."""
    return dict.fromkeys((OURS, THIRTY, SILENT), path)


def full_stack(running: ExitStack, server: str) -> App | None:
    """The backend of full-stack-fastapi-template; None, with a message, if it cannot run."""
    interpreter = newest_python.find()
    if interpreter is None:
        print(f"{TEMPLATE}: needs Python {newest_python.VERSION}", file=sys.stderr)
        return None
    backend = FULL_STACK / "backend"
    try:
        if not backend.exists():
            folder = FULL_STACK.parent
            folder.mkdir(parents=True, exist_ok=True)
            succeed("git", "clone", "--quiet", "--depth", "1", FULL_STACK_ADDRESS, cwd=folder)
        (backend / "app" / "frontend").mkdir(exist_ok=True)
        uv, python = services.find_uv(), backend / ".venv" / "bin" / "python"
        if not python.exists():
            succeed(uv, "venv", "--quiet", "--python", interpreter, ".venv", cwd=backend)
            install = (uv, "pip", "install", "--quiet", "--python", python)
            succeed(*install, "-r", "pyproject.toml", cwd=backend)
        address = new_database(running, server, "full_stack", backend)
        variables = {
            # Its settings need a host; the socket's folder in the address is used instead.
            "DATABASE_URL": address.replace(
                "postgresql+psycopg://postgres:@/", "postgresql://postgres@localhost/"
            ),
            "FIRST_SUPERUSER": "ada@example.com",
            "FIRST_SUPERUSER_PASSWORD": "correct horse battery",
            "PROJECT_NAME": "peer",
            "SECRET_KEY": SECRET,
        }
        # Its migrations need the extension uuid-ossp, which the wheel's server lacks.
        variables["PYTHONPATH"] = str(backend)
        succeed(python, "-c", CREATE_ALL, cwd=backend, variables=variables)
        succeed(python, "app/initial_data.py", cwd=backend, variables=variables)
    except AssertionError as error:
        print(f"{TEMPLATE}: {error}", file=sys.stderr)
        return None
    app = start(
        running, [python, "-m", "uvicorn", "app.main:app", "--port"], backend, variables, {}
    )
    form = b"username=ada@example.com&password=correct+horse+battery"
    with urlopen(Request(f"{app.address}/api/v1/login/access-token", form)) as answer:
        token = json.load(answer)["access_token"]
    app.headers, app.me = {"Authorization": f"Bearer {token}"}, "/api/v1/users/me"
    return app


def new_database(running: ExitStack, server: str, name: str, folder: Path) -> str:
    """The address of an empty database, which is dropped at the end."""
    if name == "sqlite":
        return f"sqlite:///{folder / 'bench.db'}"
    name = f"bench_{name.replace('-', '_')}"

    def execute(statement: str) -> None:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(statement.encode())

    execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    execute(f"CREATE DATABASE {name}")
    running.callback(execute, f"DROP DATABASE {name} WITH (FORCE)")
    return services.sqlalchemy_address(server).replace("/postgres?", f"/{name}?")


def start(
    running: ExitStack,
    command: list[str | Path],
    folder: Path,
    variables: dict[str, str],
    headers: dict[str, str],
) -> App:
    """Start a server on a port of its own, and wait until it answers."""
    process, port = running.enter_context(served(command, folder, variables))
    return App(psutil.Process(process.pid), f"http://127.0.0.1:{port}", headers)


@contextmanager
def served(
    command: list[str | Path], folder: Path, variables: dict[str, str]
) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """A server's process, and its port. Its log goes to a file, as in production."""
    port = free_port()
    with tempfile.TemporaryFile("w+") as log:
        words = [*map(str, command), str(port)]
        environment = clean_environment(variables)
        process = subprocess.Popen(
            words,
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
            text=True,
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/health/live", process)
            yield process, port
        finally:
            end_group(process)


def wait_for(address: str, process: "subprocess.Popen[str]") -> None:
    """Wait until the server answers anything."""
    for _ in range(600):
        try:
            urlopen(address, timeout=5).close()
            return
        except HTTPError:
            return
        except OSError:
            assert process.poll() is None, f"{process.args!r} ended"
            time.sleep(0.1)
    sys.exit(f"{process.args!r} does not answer")


def free_port() -> int:
    """A free port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def ask(app: App, path: str, clients: int, seconds: float = SECONDS) -> tuple[int, int, float]:
    """The number of good answers, of failed or missing ones, and the seconds."""
    headers = [word for name, text in app.headers.items() for word in ("-H", f"{name}: {text}")]
    ran = subprocess.run(
        ["wrk", "-t1", f"-c{clients}", f"-d{seconds:g}s", *headers, f"{app.address}{path}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    every, took = re.findall(r"(\d+) requests in ([\d.]+)s", ran)[0]
    refused = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", ran)))
    late = sum(map(int, re.findall(r"timeout (\d+)", ran)))
    return int(every) - refused, refused + late, float(took)


def cpu_of(app: App) -> float:
    """Seconds of processor time that it has used."""
    times = app.process.cpu_times()
    return float(times.user + times.system)


def profile(app: App, path: str, scratch: Path) -> Counter[str]:
    """Samples by layer, of the thread that is running Python."""
    out = scratch / "stacks.txt"
    spy = subprocess.Popen(
        [
            *(services.find_uv(), "tool", "run", "py-spy", "record", "--gil", "--rate", "200"),
            *("--duration", str(PROFILE_SECONDS), "--format", "raw", "--output", str(out)),
            *("--full-filenames", "--pid", str(app.process.pid)),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    ask(app, path, CLIENTS[0], PROFILE_SECONDS + 2)
    assert spy.wait() == 0, "py-spy could not look into the process"
    samples: Counter[str] = Counter()
    for line in out.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        samples[layer_of(stack)] += int(count)
    return samples


def layer_of(stack: str) -> str:
    """The layer of the innermost known frame; the standard library counts for its caller."""
    for frame in reversed(stack.split(";")):
        for name, part in LAYERS:
            if part in frame:
                return name
    return REST


# -- Output --------------------------------------------------------------------------------------


def report(cases: list[Case]) -> None:
    """Write the tables."""
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / "requests.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("case", "clients", "who", "answers_per_second", "cpu_us", "failed"))
        for case in cases:
            for (clients, name), rates in case.rates.items():
                cpu, failed = case.cpu[clients, name], case.failed[clients, name]
                row = (case.name.replace("`", ""), clients, name, f"{median(rates):.0f}")
                table.writerow((*row, f"{median(cpu):.0f}", failed))
    lines = [
        "# Requests",
        "",
        f"`python -m benchmarks requests` on Python {version()}, {os.cpu_count()} cores,",
        f"shared with wrk, PostgreSQL and others: medians of {ROUNDS} rounds of {SECONDS:g} s,",
        "in turn.",
        "",
        "`30 lines` is `request_peers/thirty_lines.py` (FastAPI, SQLAlchemy, the same query and",
        "answer), started by `uvicorn thirty_lines:app`, with a log line for each request, as in",
        "ours; and once more without. Ours runs with production's middleware. The template is",
        "full-stack-fastapi-template's backend, which only looks users up by key.",
        "",
        "## Our rate divided by theirs",
        "",
        "| Request | Clients | Ours /s | " + " | ".join(f"Ours / {n}" for n in PEER_NAMES) + " |",
        "|---|--:|--:|" + "--:|" * len(PEER_NAMES),
    ]
    for case in cases:
        for clients in CLIENTS:
            cells = [cell(case, clients, peer) for peer in PEER_NAMES]
            rate = f"{median(case.rates[clients, OURS]):,.0f}"
            if case.failed[clients, OURS]:
                rate += f" ({case.failed[clients, OURS]} failed)"
            lines.append(f"| {case.name} | {clients} | {rate} | {' | '.join(cells)} |")
    lines += ["", "## Processor time by layer", ""]
    lines += [
        "Microseconds of one request at 16 clients: the process's own time, by the share of its"
    ]
    lines += [
        "samples in each layer (py-spy, 200 a second). The standard library counts for its caller."
    ]
    for case in cases:
        lines += table_of(case)
    (RESULTS / "requests.md").write_text("\n".join(lines) + "\n")
    print(*lines, sep="\n")


def cell(case: Case, clients: int, peer: str) -> str:
    """The ratio to a peer."""
    if peer not in case.paths:
        return ""
    ratio, failed = case.ratio(clients, peer), case.failed[clients, peer]
    if ratio is None:
        return "no answer"
    return f"{ratio:.2f}" + (f" ({failed} of its requests failed)" if failed else "")


def table_of(case: Case) -> list[str]:
    """Layers of ours and of the thirty lines, the largest first."""
    ours, theirs = case.microseconds(OURS), case.microseconds(THIRTY)
    layers = sorted({*ours, *theirs}, key=lambda layer: -ours.get(layer, 0))
    rows = [f"| {n} | {ours.get(n, 0):.0f} | {theirs.get(n, 0):.0f} |" for n in layers]
    whole = f"| **all** | **{sum(ours.values()):.0f}** | **{sum(theirs.values()):.0f}** |"
    return [
        "",
        f"### {case.name}",
        "",
        "| Layer | Ours | 30 lines |",
        "|---|--:|--:|",
        *rows,
        whole,
    ]


def version() -> str:
    """The version of the Python that all of them run on."""
    python = newest_python.find()
    return platform.python_version() if python is None else newest_python.VERSION
