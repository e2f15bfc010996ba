"""Migrations are made for shared or tenants' tables, from the difference of these tables."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from tenants.support import Service


@pytest.fixture
def models(service: Service) -> sa.MetaData:
    """A copy of the service's models, for additions."""
    metadata = sa.MetaData(naming_convention=service.config.load_metadata().naming_convention)
    for table in service.config.load_metadata().tables.values():
        table.to_metadata(metadata)
    service.config = replace(service.config, load_metadata=lambda: metadata)
    from my_service import migrations

    service.patch.setattr(migrations, "config", service.config)
    return metadata


def written(service: Service, name: str) -> str:
    """The one file of this name."""
    (path,) = service.versions.glob(f"*_{name}.py")
    return path.read_text()


def test_unchanged_models_give_a_blank_file_for_tenants_and_shared(service: Service) -> None:
    service.make("a")
    for side in ("", " --shared"):
        code, out, _ = service.command(f"migrate make nothing{len(side)}{side}")
        assert code == 0 and "do not differ" in out
        service.command("migrate latest")
    assert "schemas =" not in written(service, "nothing0")
    assert 'schemas = "shared"' in written(service, "nothing9")


def test_tenant_and_shared_migrations_get_their_own_tables(
    service: Service, models: sa.MetaData
) -> None:
    service.make("a", "b", "c", "d")
    sa.Table(
        "notes",
        models,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("owner", sa.Uuid, sa.ForeignKey("users.id")),
        sa.Column("kind", sa.Enum("x", "y", name="kind"), server_default="x"),
    )
    sa.Table(
        "plans",
        models,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("next", sa.Integer, sa.ForeignKey("public.plans.id")),
        schema="public",
    )
    assert service.command("migrate make add_notes")[0] == 0
    assert "notes" in written(service, "add_notes") and "plans" not in written(service, "add_notes")
    assert service.command("migrate latest")[0] == 0
    code, _, err = service.command("migrate make add_plans --shared")
    assert code == 0, err
    assert "plans" in written(service, "add_plans") and "notes" not in written(service, "add_plans")
    assert service.command("migrate latest")[0] == 0
    for side in ("", " --shared"):
        assert "do not differ" in service.command(f"migrate make more{side}")[1]
        assert service.command("migrate latest")[0] == 0
    tables = "SELECT schemaname FROM pg_tables WHERE tablename = '{}' ORDER BY 1"
    assert service.ask(tables.format("plans")) == [("public",)]
    assert service.ask(tables.format("notes")) == [(f"tenant_{t}",) for t in "abcd"]


def test_a_foreign_key_from_a_tenants_table_to_public_is_refused(
    service: Service, models: sa.MetaData
) -> None:
    service.make("a")
    column = sa.Column("tenant", sa.String(63), sa.ForeignKey("public.tenants.id"))
    sa.Table("notes", models, column)
    for line in ("migrate make add_notes", "migrate make add_notes --shared"):
        code, _, err = service.command(line)
        assert code == 1 and "notes.tenant is a foreign key to public.tenants.id" in err
    assert list(service.versions.glob("*add_notes*")) == []
    assert service.command("migrate latest")[0] == 0  # existing files still run


def test_a_blank_migration_needs_no_tenant(service: Service) -> None:
    service.all()
    code, _, err = service.command("migrate make add_notes")
    assert code == 1 and "tenant create" in err
    assert service.command("migrate make add_notes --empty")[0] == 0
    assert "schemas =" not in written(service, "add_notes")
