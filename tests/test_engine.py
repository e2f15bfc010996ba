"""The migration engine, tested inside the services that carry it: see ``tests/engine``."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from typing import Any

import pytest
from conftest import Bake, ServiceEnvironment
from support import TEMPLATE

ENGINE = TEMPLATE / "tests" / "engine"
SLOW = {
    "drift": ["test_drift_postgresql.py", "test_drift_sqlite.py", "test_snapshots.py"],
    "processes": ["test_processes.py"],
    "sequences": ["test_sequences.py"],
}
QUICK = sorted({path.name for path in ENGINE.glob("test_*.py")}.difference(*SLOW.values()))


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
@pytest.mark.parametrize("part", [QUICK, *SLOW.values()], ids=["behaviour", *SLOW])
def test_the_engine_keeps_its_promises(
    bake: Bake,
    service_environment: ServiceEnvironment,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    database: str,
    part: list[str],
) -> None:
    server: Any = ""
    if database == "postgresql":
        server = request.getfixturevalue("postgres_server")
    service_environment.succeed(
        bake(database=database),
        *("-m", "pytest", "-c", str(ENGINE / "pytest.ini"), "--basetemp", str(tmp_path / "engine")),
        *(str(ENGINE / name) for name in part),
        ENGINE_DATABASE=database,
        ENGINE_SERVER=server.replace("postgresql:", "postgresql+psycopg:"),
        ENGINE_EXTRA_PACKAGES=sysconfig.get_path("purelib"),
    )
