"""Every error has a code, and the code links to its explanation."""

import asyncio
import base64
import hashlib
import re
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from fastapi import HTTPException
from fastapi.testclient import TestClient

from {{ cookiecutter.package_name }}.app import create_app
from {{ cookiecutter.package_name }}.errors import ActionableError, HttpError
from {{ cookiecutter.package_name }}.settings import Settings
from {{ cookiecutter.package_name }}.web.error_catalogue import read_catalogue
from {{ cookiecutter.package_name }}.web.problem_details import UnexpectedErrors

from .accounts import QUICK, sign_in
from .client import Client


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    app = create_app(settings.model_copy(update={**QUICK, "rate_limit_per_account": "1/hour"}))

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("hunter2")

    @app.get("/teapot")
    def teapot() -> None:
        raise HTTPException(418, "I am a teapot")

    @app.api_route("/closed", methods=["POST", "PUT", "OPTIONS"], include_in_schema=False)
    def closed(because: str | None = None) -> None:
        raise HTTPException(405, headers={"X-Because": because} if because else None)

    with Client(app, raise_server_exceptions=False) as client:
        yield client


def test_a_failure_in_the_middle_of_an_answer_begins_no_second_one() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async def fail(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("hunter2")

    with pytest.raises(RuntimeError):
        asyncio.run(UnexpectedErrors(fail)({"type": "http"}, Mock(), send))
    assert sent == ["http.response.start"]


def test_codes_are_unique_and_in_kebab_case() -> None:
    codes = [entry.code for entry in read_catalogue()]
    assert len(codes) > 20
    assert len(set(codes)) == len(codes)
    assert [code for code in codes if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code)] == []


def test_every_error_has_problem_impact_solution_and_cause() -> None:
    for entry in read_catalogue():
        for line in (entry.problem, entry.impact, entry.solution, entry.cause_and_cure):
            assert line.strip(), entry.code


def test_str_of_an_error_has_three_parts() -> None:
    error = ActionableError("some-code", "One.\nTwo.", "Nothing was done.", "Type this.")
    assert str(error).splitlines() == [
        "Problem:  One.",
        "          Two.",
        "Impact:   Nothing was done.",
        "Solution: Type this.",
    ]


def test_an_http_error_keeps_the_fields_of_its_error() -> None:
    error = ActionableError("some-code", "One.", "Nothing was done.", "Type this.")
    answer = HttpError.from_error(error, 503)
    assert (answer.status, answer.as_dict()) == (503, error.as_dict())


@pytest.mark.parametrize(
    ("method", "path", "sent", "code"),
    [
        ("GET", "/nowhere", {}, "path-unknown"),
        ("PUT", "/users/me", {}, "method-not-allowed"),
        ("GET", "/users/me", {}, "not-signed-in"),
        ("GET", "/users", {}, "administration-off"),
        ("GET", "/broken", {}, "unexpected"),
        ("GET", "/teapot", {}, "request-refused"),
        ("POST", "/auth/login", {"json": {}}, "values-invalid"),
        ("POST", "/auth/login", {"content": b"x" * 2_000_000}, "request-too-large"),
        (
            "POST",
            "/auth/verify-email",
            {"json": {"token": "x" * 43, "password": "x"}},
            "confirmation-refused",
        ),
    ],
)
def test_the_type_of_an_error_response_links_to_its_explanation(
    client: TestClient, method: str, path: str, sent: dict[str, Any], code: str
) -> None:
    answer = client.request(method, path, **sent)
    body = answer.json()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (body["code"], body["type"]) == (code, f"/errors#{code}")
    assert ("Allow" in answer.headers) is (answer.status_code == 405)
    page, _, anchor = body["type"].partition("#")
    assert f'id="{anchor}"' in client.get(page).text


def test_a_route_may_answer_405_itself_with_and_without_headers(client: TestClient) -> None:
    for because in (None, "inventory"):
        answer = client.post("/closed", params={"because": because} if because else None)
        assert (answer.status_code, answer.json()["code"]) == (405, "method-not-allowed")
        assert answer.json()["title"] == "Method not allowed"
        assert answer.headers["Allow"] == "POST, PUT, OPTIONS"
        assert answer.headers.get("X-Because") == because


def test_refusals_by_middleware_have_a_code_too(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"allowed_hosts": ("api.example.com",)}))
    with Client(app) as client:
        answer = client.get("/users/me", headers={"Host": "evil.example.com"})
    assert (answer.status_code, answer.json()["code"]) == (400, "host-refused")
    assert answer.headers["Content-Length"] == str(len(answer.content))  # not of its plain text


def test_the_errors_page_explains_every_code_and_loads_no_other_file(client: TestClient) -> None:
    page = client.get("/errors")
    assert page.status_code == 200
    assert re.findall(r'<section id="([^"]+)"', page.text) == [
        entry.code for entry in read_catalogue()
    ]
    assert re.findall(r"<(script|link|img)|(?:src|href)=", page.text) == []
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    (style,) = re.findall("<style>(.*?)</style>", page.text)
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in policy


def test_production_serves_the_errors_page_and_not_the_api_page(settings: Settings) -> None:
    production = settings.model_copy(update={"environment": "production", "docs_enabled": None})
    client = TestClient(create_app(production), base_url="http://localhost")
    assert client.get("/errors").status_code == 200
    assert client.get("/docs").status_code == 404


def test_behind_a_proxy_with_a_path_the_type_starts_with_that_path(settings: Settings) -> None:
    client = TestClient(create_app(settings), root_path="/api")
    assert client.get("/nowhere").json()["type"] == "/api/errors#path-unknown"


def test_the_log_line_of_a_request_has_the_error_code(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        sign_in(client)
    client.get("/errors")
    logged = [record.msg for record in caplog.records if record.name == "request"]
    assert [line.get("code") for line in logged if isinstance(line, dict)] == [
        "credentials-refused",
        "rate-limited",
        None,
    ]


def test_openapi_has_an_example_code_for_each_error(client: TestClient) -> None:
    codes = {entry.code for entry in read_catalogue()}
    found = 0
    for operations in client.get("/openapi.json").json()["paths"].values():
        for operation in operations.values():
            for answer in operation["responses"].values():
                if described := answer.get("content", {}).get("application/problem+json"):
                    assert described["example"]["code"] in codes
                    found += 1
    assert found > 20


def test_invalid_values_are_named_by_field_and_not_repeated(client: TestClient) -> None:
    answer = client.post("/auth/login", json={"email": "hunter2", "password": 7})
    body = answer.json()
    assert [fault["where"] for fault in body["errors"]] == ["body.email", "body.password"]
    assert all(
        f"{fault['where']}: {fault['problem']}" in body["problem"] for fault in body["errors"]
    )
    assert "hunter2" not in answer.text
