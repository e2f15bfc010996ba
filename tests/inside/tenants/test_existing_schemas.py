"""The guide's section "You have a database already", where each tenant has a schema."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import my_service
import pytest
import sqlalchemy as sa
from my_service import migrations
from my_service.database.backend import connect
from my_service.settings import Settings

from tenants.support import (
    Service,
    create_database,
    drop_database,
    server_url,
    tables_of_the_first_two,
)

GUIDE = Path(my_service.__file__).parent / "migrations" / "README.md"
THEIRS = [
    "CREATE SCHEMA {0}",
    "CREATE TABLE {0}.people (id serial PRIMARY KEY, name varchar(100) NOT NULL)",
    "CREATE INDEX people_name_idx ON {0}.people (name)",
    "INSERT INTO {0}.people (name) VALUES ('Ada of {0}')",
    # As Knex makes them.
    "CREATE TABLE {0}.knex_migrations (id serial PRIMARY KEY, name varchar(255), batch integer,"
    " migration_time timestamptz)",
    "CREATE TABLE {0}.knex_migrations_lock (index serial PRIMARY KEY, is_locked integer)",
]


def models() -> sa.MetaData:
    """The service's own settings, and those of step 1 of the guide."""
    metadata = tables_of_the_first_two()
    people = sa.Table(
        "people",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(100), nullable=False),
    )
    sa.Index("people_name_idx", people.c.name)
    return metadata


def section(heading: str) -> str:
    """The guide's text below a heading."""
    [found] = re.findall(rf"### {heading}\n(.*?)\n###? ", GUIDE.read_text("utf-8"), re.S)
    return str(found)


@pytest.fixture
def theirs() -> Iterator[str]:
    """The address of a database in which another program has a schema for each of two tenants."""
    name = f"theirs_{uuid4().hex}"
    create_database(name)
    url = server_url(name)
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        for schema in ("customer_acme", "customer_beta"):
            for statement in THEIRS:
                connection.exec_driver_sql(statement.format(schema))
    yield url.render_as_string(hide_password=False)
    drop_database(name)


def test_the_steps_of_the_guide_take_over_tenants_of_another_tool(
    service: Service, theirs: str
) -> None:
    service.config = replace(service.config, load_metadata=models)
    service.patch.setattr(migrations, "config", service.config)
    second = re.search(
        r"^2\. (.*?)^3\. ", section("From Knex, from Django, or made by hand"), re.M | re.S
    )
    assert second is not None
    commands = re.findall(r"`((?:migrate|tenant) [^`]+)`", second[1])
    assert commands == ["migrate latest", "tenant create demo", "migrate make create_my_tables"]
    for line in commands:
        assert service.command(line)[0] == 0
    make_first(service)

    service.patch.setenv("DATABASE_URL", theirs)
    service.engine = connect(
        Settings(_env_file=None, environment="development", database_url=theirs)
    )
    for tenant in ("acme", "beta"):
        service.ask(f"ALTER SCHEMA customer_{tenant} RENAME TO tenant_{tenant}")
    service.ask("CREATE INDEX by_hand ON tenant_beta.people (id, name)")
    first, baseline, *others = re.findall(
        r"^\$ uv run \S+ (.+)$", section("A schema for each tenant"), re.M
    )
    assert service.command(first)[0] == 0
    code, out, _ = service.command(baseline)
    assert (code, "index by_hand is there" in out, set(service.statuses())) == (1, True, {"acme"})
    service.ask("DROP INDEX tenant_beta.by_hand")
    for line in (baseline, *others):
        code, out, err = service.command(line)
        assert code == 0, line + out + err
    assert set(service.statuses().values()) == {("ready", "002")}
    assert service.command("migrate rollback --all --tenant beta")[0] == 0
    assert service.ask("SELECT name FROM tenant_beta.people") == [("Ada of customer_beta",)]


def make_first(service: Service) -> None:
    """Do the third step of the guide."""
    (made,), first = service.versions.glob("*_create_my_tables.py"), service.versions
    text = made.read_text()
    (revision,) = re.findall(r'^revision = "(.+)"$', text, re.M)
    made.write_text(re.sub("^down_revision = .+$", "down_revision = None", text, flags=re.M))
    (former,) = first.glob("001_*.py")
    text = former.read_text().replace("down_revision = None", f'down_revision = "{revision}"')
    former.write_text(text)
