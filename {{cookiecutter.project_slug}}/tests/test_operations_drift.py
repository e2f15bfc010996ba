"""Operators compare the database with its migrations, and see the differences."""

import re
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy import Column, Integer, MetaData, Table, column, table, update

from {{ cookiecutter.package_name }}.app import create_app
from {{ cookiecutter.package_name }}.migrations import config_for
from {{ cookiecutter.package_name }}.settings import Settings

from .accounts import QUICK
from .client import Client
from .database import fresh_database

KEY = "a key with thirty-two letters, or more"
HEADER = {"X-Admin-Key": KEY}
PATH = "/operations/drift"
STRANGERS = ("strange", "stranger")


@pytest.fixture
def with_key() -> Iterator[Settings]:
    """Settings with an admin key, and an unused database."""
    with fresh_database(unused=True) as settings:
        yield settings.model_copy(update={**QUICK, "admin_key": SecretStr(KEY)})


@pytest.fixture
def operator(with_key: Settings) -> Iterator[Client]:
    """The running service with an admin key."""
    with Client(create_app(with_key), follow_redirects=False) as client:
        yield client


def strange_tables(client: Client) -> MetaData:
    """Two tables that no migration makes."""
    tables = MetaData(schema=config_for(client.state.settings).scope.shared_schema)
    for name in STRANGERS:
        Table(name, tables, Column("id", Integer))
    return tables


def drift_of(client: TestClient) -> float | None:
    """The gauge, read by Prometheus' own parser."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    (*values,) = (f.samples[0].value for f in families if f.name == "schema_drift")
    return values[0] if values else None


def sign_in(client: TestClient) -> str:
    """Sign in to the page; return the token of its forms."""
    client.post("/operations/sign-in", data={"key": KEY})
    return str(re.findall(r'name="token" value="([^"]+)"', client.get("/operations").text)[0])


def test_comparing_and_reading_drift_need_the_admin_key(
    operator: Client, client: TestClient
) -> None:
    for headers in ({}, {"X-Admin-Key": "wrong"}):
        assert operator.get(PATH, headers=headers).json()["code"] == "admin-key-refused"
        assert operator.post(PATH, headers=headers).json()["code"] == "admin-key-refused"
    assert client.post(PATH, headers=HEADER).json()["code"] == "administration-off"
    assert operator.get(PATH, headers=HEADER).json()["verified_at"] is None


def test_before_the_first_comparison_drift_is_unknown(operator: Client) -> None:
    body = operator.get(PATH, headers=HEADER).json()
    assert (body["items"], body["in_step"], body["verified_at"]) == ([], None, None)
    assert drift_of(operator) is None
    assert operator.get("/health/ready").json()["reason"] is None


def test_a_database_without_drift_is_reported_as_in_step(operator: Client) -> None:
    body = operator.post(PATH, headers=HEADER).json()
    assert body["in_step"] is True and body["items"] == [] and body["pending"] == []
    assert body["verified_at"] and body["seconds"] > 0
    assert operator.get(PATH, headers=HEADER).json() == body
    assert drift_of(operator) == 0
    assert operator.get("/health/ready").json()["reason"] is None


def test_differences_are_listed_in_pages(operator: Client) -> None:
    strange_tables(operator).create_all(operator.state.engine)
    operator.post(PATH, headers=HEADER)
    first = operator.get(f"{PATH}?limit=1", headers=HEADER).json()
    assert first["in_step"] is False and first["changed_since_run"] is True
    rest = operator.get(f"{PATH}?after={first['next']}", headers=HEADER).json()
    assert rest["next"] is None
    items = [*first["items"], *rest["items"]]
    assert [one["name"] for one in items] == list(STRANGERS)
    assert all(one["sentence"] and one["cause"] and one["action"] for one in items)


def test_drift_sets_a_gauge_and_a_reason_and_the_service_stays_ready(operator: Client) -> None:
    tables = strange_tables(operator)
    tables.create_all(operator.state.engine)
    operator.post(PATH, headers=HEADER)
    assert drift_of(operator) == 1
    answer = operator.get("/health/ready")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert answer.json()["reason"].startswith("2 differences between the schema and")
    tables.drop_all(operator.state.engine)
    operator.post(PATH, headers=HEADER)
    assert drift_of(operator) == 0
    assert operator.get("/health/ready").json()["reason"] is None


def test_a_failed_comparison_says_why_and_keeps_the_last_result(operator: Client) -> None:
    body = operator.post(PATH, headers=HEADER).json()
    token = sign_in(operator)
    scope = config_for(operator.state.settings).scope
    versions = table("alembic_version", column("version_num"), schema=scope.shared_schema)
    with operator.state.engine.begin() as connection:
        connection.execute(update(versions).values(version_num="unknown"))
    answer = operator.post(PATH, headers=HEADER)
    assert (answer.status_code, answer.json()["code"]) == (503, "files-missing")
    page = operator.post("/operations/verify", data={"token": token})
    assert page.status_code == 503 and "Not compared: " in page.text
    assert operator.get(PATH, headers=HEADER).json() == body


def test_comparisons_are_rate_limited(with_key: Settings) -> None:
    few = with_key.model_copy(update={"rate_limit_per_address": "2/hour"})
    with Client(create_app(few)) as client:
        for _ in range(2):
            assert client.post(PATH, headers=HEADER).status_code == 200
        assert client.post(PATH, headers=HEADER).json()["code"] == "rate-limited"
        refused = client.post("/operations/verify", data={"token": sign_in(client)})
        assert refused.json()["code"] == "rate-limited"
        assert client.get(PATH, headers=HEADER).status_code == 200


def test_comparing_on_the_page_needs_the_token_of_the_form(operator: Client) -> None:
    strange_tables(operator).create_all(operator.state.engine)
    assert operator.post("/operations/verify", data={"token": ""}).status_code == 403
    token = sign_in(operator)
    assert "has not compared" in operator.get("/operations").text
    for forged in ("", "forged"):
        assert operator.post("/operations/verify", data={"token": forged}).status_code == 403
    assert "has not compared" in operator.get("/operations").text
    answer = operator.post("/operations/verify", data={"token": token})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/operations#drift")
    page = operator.get("/operations").text
    assert "2 differences between the schema and" in page and '"#drift">2 differences' in page
    assert all(f"table {name} is there" in page for name in STRANGERS)
