"""What the pages take from the code is what the code says. UPDATE_DOCS=1 writes it anew."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from conftest import Bake, ServiceEnvironment
from support import DATABASES, TEMPLATE

PARTS = TEMPLATE / "templates"


@pytest.mark.parametrize("database", DATABASES)
def test_settings_tables_and_diagram_are_those_of_the_code(
    bake: Bake, service_environment: ServiceEnvironment, tmp_path: Path, database: str
) -> None:
    script = str(TEMPLATE / "docs" / "generated.py")
    service_environment.succeed(
        bake(database=database), script, "my_service", "my-service", database, str(tmp_path)
    )
    written = sorted(tmp_path.glob("*.md"))
    assert [path.name for path in written] == sorted(
        path.name for path in PARTS.glob(f"*.{database}.md")
    )
    for path in written:
        if os.environ.get("UPDATE_DOCS"):
            shutil.copy(path, PARTS)
        assert (PARTS / path.name).read_text(encoding="utf-8") == path.read_text(
            encoding="utf-8"
        ), "Write it anew: UPDATE_DOCS=1 make test"
