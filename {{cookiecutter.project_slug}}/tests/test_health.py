"""The service says whether it lives and whether it can serve."""

from fastapi.testclient import TestClient

from {{ cookiecutter.package_name }}.app import create_app
from {{ cookiecutter.package_name }}.settings import Settings


def test_a_started_service_is_live_and_ready(client: TestClient) -> None:
    for check in ("live", "ready"):
        answer = client.get(f"/health/{check}")
        assert (answer.status_code, answer.json()["status"]) == (200, "ok")


def test_a_service_with_pending_migrations_is_live_and_not_ready(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"auto_migrate": False}))
    with TestClient(app) as client:
        assert client.get("/health/live").status_code == 200
        answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["reason"].endswith("migrations are pending")


def test_each_answer_carries_the_request_id(client: TestClient) -> None:
    given = client.get("/health/live", headers={"X-Request-ID": "abc-123"})
    assert given.headers["X-Request-ID"] == "abc-123"
    forged = client.get("/health/live", headers={"X-Request-ID": "a\tb"})
    assert len(forged.headers["X-Request-ID"]) == 32
