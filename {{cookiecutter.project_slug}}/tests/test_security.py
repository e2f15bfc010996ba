"""Middleware refuses requests that no route should get."""

import asyncio
import http.cookies
import re
import unicodedata
from collections.abc import Iterator
from typing import Any
from unittest.mock import AsyncMock

import pytest
from fastapi.testclient import TestClient
from starlette.types import Scope

from {{ cookiecutter.package_name }}.app import create_app
from {{ cookiecutter.package_name }}.settings import Settings
from {{ cookiecutter.package_name }}.web.cookies import unquote
from {{ cookiecutter.package_name }}.web.middleware import TrustedHosts

from .accounts import QUICK, Outbox, authorize, register, sign_in
from .client import Client
from .database import fresh_database


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    """One database for all tests: none depends on its content."""
    with fresh_database() as settings:
        yield settings.model_copy(update=QUICK)


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[TestClient]:
    with Client(create_app(settings)) as client:
        yield client


def serve(settings: Settings, **changed: Any) -> TestClient:
    app = create_app(settings.model_copy(update=changed))

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("hunter2")

    return Client(app, raise_server_exceptions=False)


def test_every_response_has_the_security_headers(client: TestClient) -> None:
    for path in ("/health/live", "/nowhere"):
        headers = client.get(path).headers
        assert headers["Cache-Control"] == "no-store"
        assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"


def test_only_in_production_browsers_are_told_to_use_encrypted_connections(
    settings: Settings,
) -> None:
    # Without a lifespan: production would ask for more settings.
    for environment, told in (
        ("test", None),
        ("production", "max-age=31536000; includeSubDomains"),
    ):
        app = create_app(settings.model_copy(update={"environment": environment}))
        answer = TestClient(app, base_url="http://localhost").get("/errors")
        assert answer.headers.get("Strict-Transport-Security") == told


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("PUT", "/users/me", 405), ("GET", "/users/me", 401)],
)
def test_an_error_is_problem_json(client: TestClient, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    body = answer.json()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.status_code, body["status"]) == (status, status)
    assert body["title"] and body["detail"] == body["problem"]
    assert body["impact"] and body["solution"]
    assert body["request_id"] == answer.headers["X-Request-ID"]
    assert "errors" not in body  # only the members that have a value


def test_an_invalid_value_is_named_by_field_and_not_repeated(client: TestClient) -> None:
    answer = client.post("/auth/register", json={"email": "hunter2", "password": ["hunter2"]})
    assert answer.headers["Content-Type"] == "application/problem+json"
    wheres = [fault["where"] for fault in answer.json()["errors"]]
    assert wheres == ["body.email", "body.password", "body.name"]
    assert "hunter2" not in answer.text


def test_an_unexpected_error_shows_only_a_request_id(settings: Settings) -> None:
    with serve(settings) as client:
        answer = client.get("/broken")
    assert answer.status_code == 500
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
    assert "hunter2" not in answer.text
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_large_body_is_refused_with_and_without_content_length(settings: Settings) -> None:
    def chunks() -> Iterator[bytes]:
        yield from [b"x" * 600] * 2

    with serve(settings, max_body_bytes=1000) as client:
        for content in (b"x" * 1001, chunks()):
            headers = {"Content-Type": "application/json"}
            answer = client.post("/auth/login", content=content, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (413, "request-too-large")
        assert client.post("/auth/login", content=b"x" * 1000).status_code == 422


def test_a_large_form_is_refused_before_it_is_read(client: TestClient) -> None:
    # To decode a million % takes a second.
    for kind in ("application/x-www-form-urlencoded", "Application/X-WWW-Form-URLEncoded; a=b"):
        for size, status in ((65_536, 422), (65_537, 413)):
            headers = {"Content-Type": kind}
            answer = client.post("/auth/token", content=b"%" * size, headers=headers)
            assert answer.status_code == status
    headers = {"Content-Type": "application/json", "Note": "not urlencoded"}
    answer = client.post("/auth/login", content=b"%" * 65_537, headers=headers)
    assert answer.status_code == 422


def test_a_form_has_the_limit_of_other_bodies_if_that_is_lower(settings: Settings) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    with serve(settings, max_body_bytes=1000) as client:
        for size, status in ((1000, 422), (1001, 413)):
            answer = client.post("/auth/token", content=b"x" * size, headers=headers)
            assert answer.status_code == status


def test_cookies_are_not_read_by_the_slow_function_of_older_pythons(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It takes quadratic time: 5 s for 32 kB of backslashes.
    monkeypatch.setattr(http.cookies, "_OctalPatt", None, raising=False)
    headers = {"Cookie": 'a="' + "\\" * 30_000 + '"'}
    assert client.get("/users/me", headers=headers).status_code == 401


@pytest.mark.parametrize("text", ["", "a b", 'say "hi"', "a\\b", "é;,\n", "\\101", '"'])
def test_a_cookie_that_python_quoted_is_read_unchanged(text: str) -> None:
    assert unquote(http.cookies.SimpleCookie().value_encode(text)[1]) == text


def test_requests_for_other_host_names_are_refused(settings: Settings) -> None:
    with serve(settings, allowed_hosts=("api.example.com",)) as client:
        answer = client.get("/users/me", headers={"Host": "evil.example.com"})
        assert (answer.status_code, answer.json()["status"]) == (400, 400)
        assert "ALLOWED_HOSTS" in answer.json()["solution"]
        for host in ("apiXexample.com", "api.example.com.evil.example", "api.example.com:x", ""):
            assert client.get("/users/me", headers={"Host": host}).status_code == 400
        for host in ("api.example.com", "API.example.com", "api.example.com:8000"):
            assert client.get("/users/me", headers={"Host": host}).status_code == 401
        assert client.get("/health/live", headers={"Host": "10.1.2.3"}).status_code == 200
    with serve(settings, allowed_hosts=("www.example.com",)) as client:
        assert client.get("/users/me", headers={"Host": "example.com"}).status_code == 400


def test_a_listed_host_name_passes_at_once_with_and_without_a_port() -> None:
    passed: list[bytes] = []

    async def app(scope: Scope, *_: Any) -> None:
        passed.append(scope["headers"][0][1])

    hosts = TrustedHosts(app, ["api.example.com", "*.example.org"])
    hosts.checked = AsyncMock()
    names = [b"api.example.com", b"api.example.com:8000", b"API.example.com", b"a.example.org"]
    with_host = ([(b"host", name), (b"accept", b"*/*")] for name in names)
    for headers in (*with_host, []):
        scope = {"type": "http", "path": "/", "headers": headers}
        asyncio.run(hosts(scope, AsyncMock(), AsyncMock()))
    assert passed == names[:2] and hosts.checked.await_count == 3


def test_allowed_hosts_accept_a_wildcard_for_subdomains(settings: Settings) -> None:
    with serve(settings, allowed_hosts=("*.example.com",)) as client:
        for host, status in (("a.example.com", 401), ("example.org", 400), ("", 400)):
            assert client.get("/users/me", headers={"Host": host}).status_code == status
        client.headers["Host"] = "a.example.com"
        assert sign_in(client).status_code == 401  # what it sends arrives too


def test_cors_allows_only_listed_origins(settings: Settings) -> None:
    origin = "https://app.example.com"
    ask = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    with serve(settings) as closed:
        assert "Access-Control-Allow-Origin" not in closed.options("/users/me", headers=ask).headers
    with serve(settings, cors_origins=(origin,)) as opened:
        change = {
            "Access-Control-Request-Method": "PATCH",
            "Access-Control-Request-Headers": "authorization, content-type",
        }
        for request in (ask, {**ask, **change}):
            answer = opened.options("/users/me", headers=request)
            assert answer.status_code == 200
            assert answer.headers["Access-Control-Allow-Origin"] == origin
            assert answer.text == "OK"  # not an error's text
        broken = opened.get("/broken", headers={"Origin": origin})
        assert broken.headers["Access-Control-Allow-Origin"] == origin
        stranger = opened.options("/users/me", headers={**ask, "Origin": "https://evil.example"})
        assert "Access-Control-Allow-Origin" not in stranger.headers
        assert (stranger.status_code, stranger.json()["code"]) == (400, "request-unreadable")
        assert "Origin" in stranger.headers["Vary"]  # for caches


def test_too_many_attempts_at_one_account_are_refused(settings: Settings) -> None:
    with serve(settings, rate_limit_per_account="3/hour") as client:
        answers = [sign_in(client) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [401, 401, 401, 429]
        assert 0 < int(answers[-1].headers["Retry-After"]) <= 3600
        assert sign_in(client, email="Ada@example.com").status_code == 429
        assert sign_in(client, email="grace@example.com").status_code == 401


@pytest.mark.parametrize(("proxies", "last"), [((), 429), (("testclient",), 401)])
def test_a_forwarded_address_counts_only_from_a_trusted_proxy(
    settings: Settings, proxies: tuple[str, ...], last: int
) -> None:
    with serve(settings, rate_limit_per_address="3/hour", trusted_proxies=proxies) as client:
        for number in range(4):
            client.headers["X-Forwarded-For"] = f"192.0.2.{number}"
            answer = sign_in(client, email=f"ada{number}@example.com")
        assert answer.status_code == last


def test_addresses_of_one_ipv6_64_network_share_a_limit(settings: Settings) -> None:
    changed = {"rate_limit_per_address": "1/hour", "trusted_proxies": ("testclient",)}
    with serve(settings, **changed) as client:
        statuses = []
        for address in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"):
            client.headers["X-Forwarded-For"] = address
            statuses.append(sign_in(client).status_code)
    assert statuses == [401, 429, 401]


def test_the_api_page_needs_no_internet(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert "://" not in page.text.replace("window.location", "")
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"):
        assert client.get(f"/docs/assets/{asset}").status_code == 200


def test_the_api_page_can_be_switched_off(settings: Settings) -> None:
    with serve(settings, docs_enabled=False) as client:
        for path in ("/docs", "/openapi.json", "/docs/assets/swagger-ui.css"):
            assert client.get(path).status_code == 404


def test_every_error_is_described_as_problem_json(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for path, operations in paths.items():
        for operation in operations.values():
            errors = {s: a for s, a in operation["responses"].items() if s >= "400"}
            assert {"400", "413", "500"} <= set(errors) or path.startswith("/health/")
            for status, answer in errors.items():
                ((media_type, described),) = answer["content"].items()
                assert "schema" in described
                assert media_type == "application/problem+json" or (path, status) == (
                    "/health/ready",
                    "503",
                )


def test_openapi_defines_every_schema_that_it_refers_to(client: TestClient) -> None:
    openapi = client.get("/openapi.json")
    referred = set(re.findall(r'"\$ref": ?"#/components/schemas/(\w+)"', openapi.text))
    assert referred <= set(openapi.json()["components"]["schemas"])
    assert {"ProblemDetails", "Fault"} <= referred


def test_a_wrong_method_gets_405_with_all_allowed_methods(client: TestClient) -> None:
    for path, methods in {
        "/users/me": {"GET", "PATCH", "DELETE"},
        "/health/live": {"GET", "HEAD"},
        "/auth/login": {"POST"},
    }.items():
        answer = client.put(path)
        assert answer.status_code == 405
        assert set(answer.headers["Allow"].split(", ")) == methods


def test_very_long_values_are_refused_before_they_are_normalized(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Normalising combining characters takes quadratic time: 20 s for 1 MB.
    hostile = "a" + "\u0301\u0316" * 30_000
    read: list[int] = []
    normalize = unicodedata.normalize

    def note(form: Any, text: str) -> str:
        read.append(len(text))
        return normalize(form, text[:2000])

    monkeypatch.setattr(unicodedata, "normalize", note)
    form = {"username": hostile[:5_000], "password": hostile[:5_000]}
    assert client.post("/auth/token", data=form).status_code == 401
    sent = {"email": hostile, "password": hostile, "name": hostile, "token": hostile}
    for path in ("register", "login", "verify-email", "reset-password", "request-verification"):
        assert client.post(f"/auth/{path}", json=sent).status_code == 422
    assert max(read) <= 1024


def test_the_log_line_of_a_request_has_the_user_id(
    client: TestClient, capsys: pytest.CaptureFixture[str]
) -> None:
    client.app.state.mailer = outbox = Outbox()  # type: ignore[attr-defined]
    headers = authorize(register(client, outbox, "grace@example.com"))
    user = client.get("/users/me", headers=headers).json()["id"]
    capsys.readouterr()
    client.get("/users/me", headers=headers)
    output = capsys.readouterr().err
    assert f"user={user}" in output and "client=testclient" in output
    client.get("/health/live")
    assert user not in capsys.readouterr().err


def test_the_policy_of_the_api_page_allows_only_its_own_scripts(client: TestClient) -> None:
    policy = client.get("/docs").headers["Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert (rules["default-src"], rules["frame-ancestors"]) == ("'none'", "'none'")
    assert rules["connect-src"] == "'self'"
    assert rules["style-src"] == "'self' 'unsafe-inline'"
    source, digest = rules["script-src"].split(" ")
    assert source == "'self'" and digest.startswith("'sha256-")
