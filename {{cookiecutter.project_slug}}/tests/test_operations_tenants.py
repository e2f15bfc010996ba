"""Operators see the tenants by revision and state, with errors; metrics name no tenant."""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from {{ cookiecutter.package_name }}.app import create_app
from {{ cookiecutter.package_name }}.migrate import run_tenant_migrations
from {{ cookiecutter.package_name }}.operations import metrics
from {{ cookiecutter.package_name }}.settings import Settings

from .client import Client

KEY = "a key with thirty-two letters, or more"
HEADER = {"X-Admin-Key": KEY}
FAILED = ("zebra", "zulu")


@pytest.fixture
def operator(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """The running service with three tenants, two of which have failed."""
    monkeypatch.setattr(metrics, "PATIENCE_SECONDS", 60.0)
    with_key = settings.model_copy(update={"admin_key": SecretStr(KEY)})
    with Client(create_app(with_key)) as client:
        for tenant in FAILED:
            run_tenant_migrations(client.state.engine, tenant)
        with client.state.engine.begin() as connection:
            connection.execute(
                text(
                    "UPDATE public.tenants SET status = 'failed', error = 'no space left'"
                    " WHERE id = ANY(:failed)"
                ),
                {"failed": list(FAILED)},
            )
        yield client


def test_tenants_are_counted_and_failed_ones_are_listed_in_pages(operator: Client) -> None:
    path = "/operations/tenants?limit=1"
    first = operator.get(path, headers=HEADER).json()
    assert {(one["status"], one["tenants"]) for one in first["counts"]} == {
        ("ready", 1),
        ("failed", 2),
    }
    second = operator.get(f"{path}&after={first['next']}", headers=HEADER).json()
    items = [*first["items"], *second["items"]]
    assert [one["id"] for one in items] == list(FAILED) and second["next"] is None
    assert {one["error"] for one in items} == {"no space left"}
    assert operator.get(path).status_code == 403


def test_the_page_shows_how_many_tenants_are_not_up_to_date(operator: Client) -> None:
    operator.post("/operations/sign-in", data={"key": KEY})
    assert "2 tenants are not up to date." in operator.get("/operations").text


def test_a_comparison_counts_the_tenants_that_differ(operator: Client) -> None:
    with operator.state.engine.begin() as connection:
        connection.execute(text("ALTER TABLE tenant_zebra.users ADD strange integer"))
    body = operator.post("/operations/drift", headers=HEADER).json()
    assert body["tenants"] == {"compared": 3, "differ": 1, "not_compared": 0}
    assert body["in_step"] is False
    summary = "of 3 tenants 1 differs"
    assert summary in operator.get("/health/ready").json()["reason"]
    operator.post("/operations/sign-in", data={"key": KEY})
    assert summary in operator.get("/operations").text
    assert "tenants_drifted 1.0" in operator.get("/metrics").text


def test_metrics_count_tenants_and_never_name_one(operator: Client) -> None:
    """Requests of a tenant with all kinds of answers."""
    for tenant in ("zebra", "acme"):
        operator.get("/users", headers={"X-Tenant-ID": tenant})
        operator.get(f"/tenants/{tenant}", headers=HEADER)
        operator.post(f"/tenants/{tenant}/none", headers=HEADER)
    operator.post("/operations/drift", headers=HEADER)
    lines = operator.get("/metrics").text.splitlines()
    assert 'tenants{status="failed"} 2.0' in lines and 'tenants{status="ready"} 1.0' in lines
    assert "tenants_behind 2.0" in lines
    metrics = "\n".join(lines)
    assert not any(tenant in metrics for tenant in ("acme", *FAILED))
