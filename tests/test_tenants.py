"""Schema-per-tenant, tested inside the service that carries it: see ``tests/tenants``."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Bake, ServiceEnvironment
from support import TEMPLATE

FOLDER = TEMPLATE / "tests" / "tenants"


@pytest.mark.parametrize(
    "part",
    ["life", "all", "replay", "isolation", "leaving", "leftovers", "roles", "making"],
)
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
        TENANTS_SERVER=postgres_server.replace("postgresql:", "postgresql+psycopg:"),
    )
