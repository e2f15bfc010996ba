"""How long ``/health/live`` takes while many clients send other requests.

``wrk`` sends ``/users/me`` (Debian: apt install wrk); meanwhile one client asks for
``/health/live`` every 20 ms. Both compete with the service for the processors, so an idle machine
with more of them is faster.
"""

import math
import os
import shutil
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path

from benchmarks.requests import CLIENTS, RESULTS, App, ask, start_ours, version
from tools import services

SECONDS = 10.0
PAUSE_SECONDS = 0.02
PROMISED = 100


def main() -> None:
    """Measure, and write ``results/liveness.md``."""
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing: install it (Debian: apt install wrk).")
    rows = []
    with ExitStack() as running, tempfile.TemporaryDirectory() as scratch:
        server = running.enter_context(services.postgresql())
        app, _ = start_ours(running, server, "postgresql", Path(scratch))
        for clients in (0, *CLIENTS):
            took = sorted(liveness(app, clients))
            shares = [took[math.ceil(len(took) * share) - 1] for share in (0.5, 0.95, 0.99, 1)]
            late = sum(milliseconds > PROMISED for milliseconds in took)
            cells = " | ".join(f"{milliseconds:.1f}" for milliseconds in shares)
            rows.append(f"| {clients} | {len(took)} | {cells} | {late} |")
    lines = [
        "# Liveness under load",
        "",
        f"`python -m benchmarks liveness` on Python {version()}, {os.cpu_count()} cores,",
        "shared with wrk and PostgreSQL: `/health/live`, asked every 20 ms by one client while",
        f"others send `/users/me` for {SECONDS:g} s. Milliseconds; the last column counts",
        f"answers after more than {PROMISED}.",
        "",
        "| Other clients | Asked | Median | 95 % | 99 % | Slowest | Late |",
        "|--:|--:|--:|--:|--:|--:|--:|",
        *rows,
    ]
    (RESULTS / "liveness.md").write_text("\n".join(lines) + "\n")
    print(*lines, sep="\n")


def liveness(app: App, clients: int) -> list[float]:
    """Milliseconds of each answer while so many clients are at work."""
    ended = threading.Event()

    def work() -> None:
        if clients:
            ask(app, app.me, clients, SECONDS)
        else:
            time.sleep(SECONDS)
        ended.set()

    threading.Thread(target=work).start()
    connection = HTTPConnection(app.address.removeprefix("http://"), timeout=60)
    took = []
    while not ended.wait(PAUSE_SECONDS):
        began = time.perf_counter()
        connection.request("GET", "/health/live")
        answer = connection.getresponse()
        answer.read()
        took.append((time.perf_counter() - began) * 1000)
        assert answer.status == 200
    return took
