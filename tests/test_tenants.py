"""Schema-per-tenant, tested inside the service that carries it: see ``tests/tenants``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from conftest import Bake, ServiceEnvironment
from support import TEMPLATE

FOLDER = TEMPLATE / "tests" / "tenants"


PARTS = ["life", "all", "replay", "replay_bodies", "replay_observing", "citus", "isolation", "making"]


@pytest.mark.parametrize("part", PARTS)
def test_tenants_keep_their_promises(
    bake: Bake,
    service_environment: ServiceEnvironment,
    postgres_server: str,
    tmp_path: Path,
    part: str,
) -> None:
    service_environment.succeed(
        bake(database="postgresql-multi-tenant"),
        *("-m", "pytest", "-rs", "-c", str(FOLDER / "pytest.ini")),
        *("--basetemp", str(tmp_path / "tenants"), str(FOLDER / f"test_{part}.py")),
        # A Citus cluster that is there, where these two name its coordinator and its workers.
        TENANTS_SERVER=os.environ.get("TENANTS_SERVER")
        or postgres_server.replace("postgresql:", "postgresql+psycopg:"),
        TENANTS_CITUS_WORKERS=os.environ.get("TENANTS_CITUS_WORKERS", ""),
    )
