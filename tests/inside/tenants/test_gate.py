"""One gate for all tenants: public decides, and the tenants stop at its revision."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from my_service.errors import ActionableError
from my_service.migrate import MigrationConfig, Registration, get_instances
from my_service.migrations.target import can_serve

from tenants.support import Service

ADD = 'op.add_column("users", sa.Column("nick", sa.String(10)))'
DROP = 'op.drop_column("users", "nick")'
CONTRACT = 'phase = "contract"'


def old_release(service: Service, tmp_path: Path, *, revision: int) -> MigrationConfig:
    """A release whose files end at a revision."""
    versions = tmp_path / "old" / "versions"
    versions.mkdir(parents=True)
    for file in service.versions.glob("*.py"):
        if int(file.name[:3]) <= revision:
            (versions / file.name).write_bytes(file.read_bytes())
    return replace(service.config, directory=versions.parent, load_release=lambda: "1.0")


def test_tenants_stop_before_a_held_back_contract_and_follow_public(
    service: Service, tmp_path: Path
) -> None:
    service.make("a", "b", "c", "d")
    service.add(ADD, DROP)
    service.add(DROP, ADD, extra=CONTRACT)
    old = Registration(service.engine, old_release(service, tmp_path, revision=3))
    old.register()
    run = service.all()
    assert run.success and run.public.held_back == ("004_change",)
    assert set(service.statuses().values()) == {("ready", "003")}
    assert service.one("late").success
    assert service.statuses()["late"] == ("ready", "003")
    assert can_serve(service.engine, service.config) == (True, None)
    code, out, _ = service.command("migrate latest --json")
    assert (code, json.loads(out)["held_back"]) == (0, ["004_change"])
    assert service.command("migrate contract")[0] == 1
    old.remove()
    assert service.command("migrate contract")[0] == 0
    assert set(service.statuses().values()) == {("ready", "004")}
    with pytest.raises(ActionableError) as refused:
        old.register()
    assert refused.value.code == "contract-unknown"


def test_instances_are_registered_in_public(service: Service) -> None:
    service.make("a")
    one = Registration(service.engine, service.config)
    one.register()
    assert one.beat()
    assert service.ask("SELECT count(*) FROM public.service_instances") == [(1,)]
    (instance,) = get_instances(service.engine, config=service.config)
    assert (instance.id, instance.revision) == (one.id, "002")
    one.remove()
    assert service.ask("SELECT count(*) FROM public.service_instances") == [(0,)]


def test_an_older_release_does_not_change_tenants_that_are_ahead(
    service: Service, tmp_path: Path
) -> None:
    service.make("a", "b")
    service.add(ADD, DROP)
    old = old_release(service, tmp_path, revision=2)
    assert service.all().success
    assert can_serve(service.engine, old) == (True, None)
    service.config = old
    run = service.all()
    assert (run.success, run.public.ahead, run.tenants) == (True, ("003_change",), ())
    assert set(service.statuses().values()) == {("ready", "003")}
