"""The views for operators: JSON with the admin key, and a page with a sign-in."""

import base64
import hashlib
import platform
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from pydantic import SecretStr

from {{ cookiecutter.package_name }}.app import create_app
from {{ cookiecutter.package_name }}.errors import ActionableError
from {{ cookiecutter.package_name }}.migrate import (
    BackfillProgress,
    Registration,
    get_instances,
    migrate_down,
    read_runs,
    run_migrations,
)
from {{ cookiecutter.package_name }}.migrations import config_for, release
from {{ cookiecutter.package_name }}.operations import sign_in
from {{ cookiecutter.package_name }}.operations.overview import read_overview
from {{ cookiecutter.package_name }}.settings import Settings

from .client import Client
from .migration_files import add

KEY = "a key with thirty-two letters, or more"
HEADER = {"X-Admin-Key": KEY}


@pytest.fixture
def operator(settings: Settings) -> Iterator[Client]:
    """The running service with an admin key."""
    with_key = settings.model_copy(update={"admin_key": SecretStr(KEY)})
    with Client(create_app(with_key), follow_redirects=False) as client:
        yield client


def enter(client: TestClient, key: str = KEY) -> Response:
    return client.post("/operations/sign-in", data={"key": key})


def test_operations_need_the_admin_key(operator: Client, client: TestClient) -> None:
    for path in ("/operations/migrations", "/operations/instances", "/operations/backfills"):
        for headers in ({}, {"X-Admin-Key": "wrong"}):
            assert operator.get(path, headers=headers).json()["code"] == "admin-key-refused"
        assert client.get(path, headers=HEADER).json()["code"] == "administration-off"
    assert client.get("/operations").json()["code"] == "administration-off"
    assert enter(client).json()["code"] == "administration-off"


def test_migrations_are_listed_with_status_and_runs(operator: Client) -> None:
    body = operator.get("/operations/migrations", headers=HEADER).json()
    assert body["status"]["pending"] == [] and body["status"]["problem"] is None
    assert body["status"]["sentence"].endswith("applied, none pending.")
    names = [name for run in body["items"] for name in run["migrations"]]
    assert "001_create_users_table" in names and body["next"] is None
    assert {run["state"] for run in body["items"]} == {"applied"}


def test_the_overview_describes_problems_in_one_sentence(operator: Client, versions: Path) -> None:
    add(versions, "broken", "raise RuntimeError('no')")
    config = config_for(operator.state.settings)
    assert not run_migrations(operator.state.engine, config=config).success
    overview = read_overview(operator.state.engine, config)
    assert overview.sentence == "1 migration is pending; the last run failed."
    assert not overview.is_well
    filling = BackfillProgress("004_fill", "004", "users", done=5, error="disk full")
    status = replace(
        overview.status,
        problem=ActionableError("files-missing", "A file is missing.", "", ""),
        pending=(),
        held_back=("a", "b"),
        backfills=(filling,),
    )
    assert replace(overview, status=status).sentence == (
        "A file is missing; 2 migrations are held back; "
        "1 backfill is not finished, stopped by an error."
    )


def test_a_name_that_no_migration_can_have_is_refused(operator: Client) -> None:
    for name in ("%00", "a" * 256):
        answer = operator.get(f"/operations/migrations?migration={name}", headers=HEADER)
        assert answer.status_code == 422


def test_runs_come_in_pages(operator: Client) -> None:
    path = "/operations/migrations?limit=1"
    first = operator.get(path, headers=HEADER).json()
    assert len(first["items"]) == 1
    last = first["items"][0]["key"]
    assert operator.get(f"{path}&after={last}", headers=HEADER).json()["items"] == []
    for bad in ("x", "1", "1.", "99999999999999999999.0"):
        answer = operator.get(f"{path}&after={bad}", headers=HEADER)
        assert answer.json()["code"] == "values-invalid"
    assert operator.get(f"{path}&failed=true", headers=HEADER).json()["items"] == []
    found = operator.get(f"{path}&migration=001_create_users_table", headers=HEADER).json()
    assert len(found["items"]) == 1


def test_instances_are_listed_in_json_and_on_the_page(operator: Client) -> None:
    # A service on a database in memory does not register, so the test registers an instance.
    state = operator.state
    Registration(state.engine, config_for(state.settings)).register()
    body = operator.get("/operations/instances", headers=HEADER).json()
    ids = [one["id"] for one in body["items"]]
    assert ids and ids == sorted(one.id for one in get_instances(state.engine))
    another = body["items"][0]
    assert (another["host"], another["version"]) == (platform.node(), release())
    assert another["revision"] == operator.get("/health/live").json()["revision"]
    path = f"/operations/instances?after={ids[-1]}"
    assert operator.get(path, headers=HEADER).json() == {"items": [], "next": None}
    enter(operator)
    assert platform.node() in operator.get("/operations").text


def test_finished_backfills_are_not_listed(operator: Client) -> None:
    answer = operator.get("/operations/backfills", headers=HEADER)
    assert answer.json() == {"items": [], "next": None}


def test_the_page_shows_durations_of_runs_as_a_chart_and_as_text(operator: Client) -> None:
    enter(operator)
    assert "<figure>" not in operator.get("/operations").text  # one run gives no curve
    migrate_down(operator.state.engine).raise_for_error()
    run_migrations(operator.state.engine).raise_for_error()
    page = operator.get("/operations").text
    (figure,) = re.findall(r"<figure>.*?</figure>", page, re.DOTALL)
    runs = read_runs(operator.state.engine)[::-1]
    durations = ", ".join(f"{run.duration:.3f}" for run in runs)
    assert f'aria-label="Seconds of the last {len(runs)} runs, oldest first: {durations}"' in figure
    assert f"oldest first: {durations}.</figcaption>" in figure
    assert figure.count("<circle") == len(runs) == len(re.findall(r"\d,\d", figure))


def test_openapi_describes_the_json_routes_and_not_the_page(operator: Client) -> None:
    paths = operator.get("/openapi.json").json()["paths"]
    routes = {f"/operations/{name}" for name in ("migrations", "instances", "backfills", "drift")}
    assert routes <= set(paths)
    assert "/operations" not in paths and "/metrics" not in paths


def test_the_page_is_shown_to_those_who_signed_in(operator: Client) -> None:
    form = operator.get("/operations")
    assert form.status_code == 200 and "001_create_users_table" not in form.text
    answer = enter(operator)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/operations")
    cookie = answer.headers["Set-Cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=strict", "Path=/operations"))
    assert KEY not in cookie
    page = operator.get("/operations")
    assert "none pending" in page.text and "001_create_users_table" in page.text
    assert "Sign out" in page.text


def test_a_wrong_key_is_refused_and_rate_limited(settings: Settings) -> None:
    few = {"admin_key": SecretStr(KEY), "rate_limit_per_address": "2/hour"}
    with Client(create_app(settings.model_copy(update=few))) as client:
        for _ in range(2):
            answer = enter(client, "wrong")
            assert answer.status_code == 403 and "key is wrong" in answer.text
            assert "Set-Cookie" not in answer.headers
        assert enter(client, "wrong").json()["code"] == "rate-limited"


def test_the_session_ends_after_its_lifetime_or_when_the_key_changes(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(operator)
    assert "Sign out" in operator.get("/operations").text
    with monkeypatch.context() as later:
        soon = time.time() + sign_in.SECONDS + 1
        later.setattr(time, "time", lambda: soon)
        assert "Sign out" not in operator.get("/operations").text
    state = operator.state
    state.settings = state.settings.model_copy(update={"admin_key": SecretStr(KEY[::-1])})
    assert "Sign out" not in operator.get("/operations").text


@pytest.mark.parametrize("cookie", ["", ".", "9999999999.", "9999999999.0", "x.y", "é.é"])
def test_a_forged_cookie_does_not_sign_in(operator: Client, cookie: str) -> None:
    headers = {b"Cookie": f"operations={cookie}".encode()}
    assert "Sign out" not in operator.get("/operations", headers=headers).text


def test_signing_out_needs_the_token_of_the_form(operator: Client) -> None:
    enter(operator)
    for token in ("", "forged"):
        assert operator.post("/operations/sign-out", data={"token": token}).status_code == 403
    token, *_ = re.findall(r'name="token" value="([^"]+)"', operator.get("/operations").text)
    assert operator.post("/operations/sign-out", data={"token": token}).status_code == 303
    assert "Sign out" not in operator.get("/operations").text


def test_the_cookie_does_not_authorize_json_routes(operator: Client) -> None:
    enter(operator)
    assert operator.get("/operations/migrations").status_code == 403


def test_the_policy_of_the_page_allows_only_its_own_inline_style(operator: Client) -> None:
    for page in (operator.get("/operations"), enter(operator) and operator.get("/operations")):
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        for inline in re.findall(r"<(?:script|style)>(.*?)</", page.text, re.DOTALL):
            digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
            assert f"-src 'sha256-{digest}'" in policy
        assert "style=" not in page.text and "http://" not in page.text


def test_in_production_the_cookie_is_https_only(settings: Settings) -> None:
    production = {"admin_key": SecretStr(KEY), "environment": "production"}
    app = create_app(settings.model_copy(update=production))
    client = TestClient(app, base_url="http://localhost", follow_redirects=False)
    assert "Secure" in enter(client).headers["Set-Cookie"]
