"""``migrate squash`` where there are tenants: it says why not, and leaves the files alone."""

from __future__ import annotations

from tenants.support import Service


def test_two_kinds_of_schema_are_not_squashed_into_one(service: Service) -> None:
    before = sorted(service.versions.glob("*.py"))
    code, out, err = service.command("migrate squash 002")
    assert (code, out) == (1, "")
    assert "two kinds of schema" in err
    assert sorted(service.versions.glob("*.py")) == before
