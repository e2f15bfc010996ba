"""A serving process is registered, and answers no request while it may count as dead."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import StaticPool

from {{ cookiecutter.package_name }} import replica
from {{ cookiecutter.package_name }}.app import create_app
from {{ cookiecutter.package_name }}.database.backend import connect
from {{ cookiecutter.package_name }}.migrate import Instance, get_instances
from {{ cookiecutter.package_name }}.settings import Settings


@pytest.fixture
def shared(settings: Settings, tmp_path: Path) -> Settings:
    """Settings for a database that several processes can open."""
    if not isinstance(connect(settings).pool, StaticPool):
        return settings
    address = SecretStr(f"sqlite:///{tmp_path}/shared.db")
    return settings.model_copy(update={"test_database_url": address})


def instances(settings: Settings) -> list[Instance]:
    """The registered instances."""
    engine = connect(settings)
    try:
        return get_instances(engine)
    finally:
        engine.dispose()


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for an effect of another thread."""
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_process_is_counted_from_before_it_serves_until_it_ends(shared: Settings) -> None:
    with TestClient(create_app(shared)) as client:
        (instance,) = instances(shared)
        assert instance.revision and not instance.is_gone
        assert client.get("/health/ready").status_code == 200
        with TestClient(create_app(shared)):
            assert len(instances(shared)) == 2
        assert [other.id for other in instances(shared)] == [instance.id]
    assert instances(shared) == []


def test_it_beats_on_and_on(shared: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "BEAT_SECONDS", 0.02)
    with TestClient(create_app(shared)):
        wait_until(lambda: instances(shared)[0].beats > 2)


def test_a_process_whose_beat_is_stale_is_live_but_not_ready_and_answers_nobody(
    shared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "WAKING_SECONDS", 0.05)
    with TestClient(create_app(shared)) as client:
        assert client.get("/nowhere").status_code == 404
        client.app.state.replica._beat_at -= 31  # type: ignore[attr-defined]
        ready = client.get("/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
        assert re.fullmatch(r"the last heartbeat was \d+ seconds ago", ready.json()["reason"])
        assert client.get("/health/live").status_code == 200
        answer = client.get("/nowhere")
        assert (answer.status_code, answer.json()["code"]) == (503, "database-unavailable")


def test_a_request_that_wakes_a_process_waits_for_its_beat(
    shared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "BEAT_SECONDS", 0.3)
    with TestClient(create_app(shared)) as client:
        client.app.state.replica._beat_at -= 31  # type: ignore[attr-defined]
        assert client.get("/nowhere").status_code == 404


def test_a_process_that_counted_as_dead_registers_again(
    shared: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(replica, "BEAT_SECONDS", 0.02)
    with TestClient(create_app(shared)) as client:
        client.app.state.replica._row.remove()  # type: ignore[attr-defined]
        wait_until(lambda: len(instances(shared)) == 1)
    assert "counted as dead, and registers again" in capsys.readouterr().err
