"""A serving process is registered, and answers no request while it may count as dead."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import StaticPool
from sqlalchemy.exc import OperationalError

from {{ cookiecutter.package_name }} import replica
from {{ cookiecutter.package_name }}.app import create_app
from {{ cookiecutter.package_name }}.database.backend import connect
from {{ cookiecutter.package_name }}.errors import ActionableError
from {{ cookiecutter.package_name }}.migrate import (
    Instance,
    Registration,
    get_instances,
    get_migration_status,
)
from {{ cookiecutter.package_name }}.migrations import config_for
from {{ cookiecutter.package_name }}.observability.logging import configure_logging
from {{ cookiecutter.package_name }}.settings import Settings

from .migration_files import add, names


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


def make_stale(client: TestClient) -> None:
    """Make the last heartbeat of the service 31 seconds older."""
    client.app.state.replica._beat_at -= 31  # type: ignore[attr-defined]


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for an effect of another thread."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_process_is_registered_while_it_serves(shared: Settings) -> None:
    with TestClient(create_app(shared)) as client:
        (instance,) = instances(shared)
        assert instance.revision and not instance.is_gone
        assert client.get("/health/ready").status_code == 200
        with TestClient(create_app(shared)):
            assert len(instances(shared)) == 2
        assert [other.id for other in instances(shared)] == [instance.id]
    assert instances(shared) == []


def test_the_heartbeat_repeats(shared: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "BEAT_SECONDS", 0.02)
    with TestClient(create_app(shared)):
        wait_until(lambda: instances(shared)[0].beats > 2)


def test_a_process_with_a_stale_heartbeat_is_live_and_not_ready_and_answers_503(
    shared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "WAKING_SECONDS", 0.05)
    with TestClient(create_app(shared)) as client:
        assert client.get("/nowhere").status_code == 404
        make_stale(client)
        ready = client.get("/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
        assert re.fullmatch(r"the last heartbeat was \d+ seconds ago", ready.json()["reason"])
        assert client.get("/health/live").status_code == 200
        answer = client.get("/nowhere")
        assert (answer.status_code, answer.json()["code"]) == (503, "database-unavailable")


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="Linux has this clock")
def test_a_process_is_stale_after_its_machine_was_suspended(
    shared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "WAKING_SECONDS", 0.05)
    with TestClient(create_app(shared)) as client:
        later = time.clock_gettime(time.CLOCK_BOOTTIME) + 31
        monkeypatch.setattr(time, "clock_gettime", lambda _: later)
        assert client.get("/nowhere").status_code == 503


def test_the_first_request_after_a_suspension_waits_for_a_heartbeat(
    shared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "BEAT_SECONDS", 0.3)
    with TestClient(create_app(shared)) as client:
        make_stale(client)
        assert client.get("/nowhere").status_code == 404


def test_while_a_process_stays_stale_only_the_first_requests_wait(
    shared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The database is away: a request that waited would only be slow to say so.
    monkeypatch.setattr(replica, "WAKING_SECONDS", 0.05)
    with TestClient(create_app(shared)) as client:
        make_stale(client)
        assert client.get("/nowhere").status_code == 503
        monkeypatch.setattr(replica, "POLL_SECONDS", None)  # to wait would fail
        assert client.get("/nowhere").status_code == 503
        assert client.get("/health/ready").status_code == 503


def test_a_process_that_was_removed_answers_503_until_it_is_registered(
    shared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "BEAT_SECONDS", 0.02)
    monkeypatch.setattr(replica, "WAKING_SECONDS", 0.05)
    with TestClient(create_app(shared)) as client:
        row = client.app.state.replica._row  # type: ignore[attr-defined]
        may, register = Event(), row.register
        monkeypatch.setattr(row, "register", lambda: (may.wait(60), register()))
        row.remove()
        wait_until(lambda: client.get("/nowhere").status_code == 503)
        may.set()
        wait_until(lambda: client.get("/nowhere").status_code == 404)


def test_a_process_that_was_removed_registers_again(
    shared: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(replica, "BEAT_SECONDS", 0.02)
    with TestClient(create_app(shared)) as client:
        client.app.state.replica._row.remove()  # type: ignore[attr-defined]
        wait_until(lambda: len(instances(shared)) == 1)
    assert "counted as dead, and registers again" in capsys.readouterr().err


def test_a_failed_heartbeat_is_logged_and_retried(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tried: list[Exception] = []
    away = OperationalError("SELECT 1", {}, Exception("nobody listens\nin detail"))
    refused = ActionableError("full", "The disk is full.", "Nothing works.", "Make room.")

    def fail() -> None:
        tried.append([away, refused][len(tried) % 2])
        raise tried[-1]

    configure_logging("INFO", as_json=False)
    repeated = replica.Repeated("heartbeat", 0.01, fail)
    wait_until(lambda: len(tried) > 3)
    repeated.stop()
    log = capsys.readouterr().err.replace("'", "")
    assert "The heartbeat failed" in log and "reason=nobody listens" in log
    assert "The disk is full." in log and "in detail" not in log


def test_a_running_process_applies_a_contract_once_no_older_instance_is_left(
    shared: Settings, versions: Path
) -> None:
    engine = connect(shared)
    older = Registration(engine, config_for(shared))
    older.register()
    before = names(versions)[-1]
    newer = add(versions, "drop", phase="contract").stem

    def has_applied(name: str) -> bool:
        status = get_migration_status(engine, config=config_for(shared))
        return status.completed[-1].name == name

    soon = shared.model_copy(update={"auto_contract": True, "auto_contract_interval": 0.05})
    with TestClient(create_app(soon)):
        assert has_applied(before)
        older.remove()
        wait_until(lambda: has_applied(newer))
    engine.dispose()
