"""The whole API by its own description: no failure, and no undocumented answer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from serving import ADMIN_KEY, Serve

from tools.process import run
from tools.services import DATABASES

pytestmark = pytest.mark.thorough

EXAMPLES = 5
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "ignored_auth",
)


@pytest.mark.parametrize("database", DATABASES)
def test_every_response_matches_the_openapi_description(
    serve: Serve, empty_database: Any, tmp_path: Path, database: str
) -> None:
    with serve(database, empty_database(database)) as service:
        if database == "postgresql-multi-tenant":
            service = service.with_tenant("initech")
        headers = {
            **service.headers,
            "Authorization": f"Bearer {service.sign_in('ada@example.com')}",
            "X-Admin-Key": ADMIN_KEY,
        }
        done = run(
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{service.address}/openapi.json"),
            *(f"--header={name}: {value}" for name, value in headers.items()),
            *("--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES)),
            *("--checks", ",".join(CHECKS), "--generation-database", "none", "--no-color"),
            cwd=tmp_path,
            timeout=300,
        )
    assert done.returncode == 0, done.stdout
