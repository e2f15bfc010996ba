"""Roles for tenants from before TENANT_ROLES, and the protection by roles."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa
from my_service import migrations
from my_service.database.tenant_session import tenant_session
from my_service.errors import ActionableError
from my_service.migrate.tenants import audit_tenants, drop_tenant, make_tenant_roles, roles, scope
from sqlalchemy.exc import ProgrammingError

from tenants.support import Service, dies_at, on_one_machine, server_url

# One of each kind of object with an owner.
THINGS = (
    "op.execute(\"CREATE TYPE mood AS ENUM ('good')\")",
    'op.execute("CREATE DOMAIN positive AS integer CHECK (value > 0)")',
    'op.execute("CREATE TABLE marks (id serial, n integer GENERATED ALWAYS AS IDENTITY, m mood)")',
    'op.execute("CREATE TABLE parts (n integer) PARTITION BY RANGE (n)")',
    'op.execute("CREATE TABLE part PARTITION OF parts DEFAULT")',
    'op.execute("CREATE VIEW seen AS SELECT * FROM marks")',
    'op.execute("CREATE MATERIALIZED VIEW kept AS SELECT * FROM marks")',
    'op.execute("CREATE SEQUENCE numbers")',
    'op.execute("CREATE TYPE pair AS (a integer, b integer)")',
    "op.execute(\"CREATE FUNCTION one(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'\")",
    "op.execute(\"CREATE PROCEDURE two() LANGUAGE sql AS 'SELECT 1'\")",
)
STRANGERS = """
SELECT n.nspname, o.name FROM (
    SELECT relnamespace, relname AS name, relowner FROM pg_class
    UNION ALL SELECT typnamespace, typname, typowner FROM pg_type
    UNION ALL SELECT pronamespace, proname, proowner FROM pg_proc
    UNION ALL SELECT oid, nspname, nspowner FROM pg_namespace
) o (namespace, name, owner) JOIN pg_namespace n ON n.oid = o.namespace
WHERE n.nspname LIKE 'tenant%%' AND pg_get_userbyid(o.owner) <> n.nspname
"""
WHO = sa.text("SELECT current_user::text, count(*) FROM users GROUP BY 1 UNION ALL SELECT '', 0")


@on_one_machine("tenants have no roles (roles-on-citus)")
@pytest.mark.parametrize("by", ["superuser", "ordinary user"])
def test_tenant_roles_creates_roles_for_existing_tenants(service: Service, by: str) -> None:
    if by == "ordinary user":
        service.ordinary_user()
    service.add(THINGS)
    service.make("t1", "t2", "t3")
    service.roles()
    with (
        tenant_session(service.engine, "t1", role=True) as session,
        pytest.raises(ActionableError, match="it has no database role"),
    ):
        session.execute(WHO)
    code, out, _ = service.command("tenant audit")
    assert code == 1
    assert [line.partition(":")[0] for line in out.splitlines()] == ["t1", "t2", "t3"]
    assert "tenant roles" in out

    code, out, err = service.command("tenant roles")
    assert (code, err) == (0, "")
    assert out.splitlines() == ["t1 has its role", "t2 has its role", "t3 has its role"]
    assert service.command("tenant roles") == (0, "Every tenant has its role\n", "")
    assert service.command("tenant audit")[0] == 0
    assert service.ask(STRANGERS) == []
    for tenant in ("t1", "t2", "t3"):
        with tenant_session(service.engine, tenant, role=True) as session:
            session.execute(sa.text("INSERT INTO marks DEFAULT VALUES"))
            session.commit()
            assert session.scalar(sa.text("SELECT current_user")) == f"tenant_{tenant}"
            with pytest.raises(ProgrammingError, match="permission denied"):
                session.execute(sa.text("SELECT * FROM public.tenants"))
    service.add('op.add_column("marks", sa.Column("more", sa.Text))')
    assert service.all().success
    assert service.ask(STRANGERS) == []
    assert service.command("tenant drop t1 --yes")[0] == 0
    assert service.ask("SELECT 1 FROM pg_roles WHERE rolname = 'tenant_t1'") == []


def test_a_run_without_the_required_roles_is_an_error_and_marks_no_tenant_failed(
    service: Service,
) -> None:
    service.make("t1", "t2", "t3")
    service.roles()
    service.add('op.create_table("marks", sa.Column("n", sa.Integer))')
    run = service.all()
    assert {result.tenant for result in run.failed} == {"t1", "t2", "t3"}
    assert all(result.error and "tenant roles" in str(result.error) for result in run.failed)
    assert set(service.statuses().values()) == {("ready", "002")}
    assert service.command("tenant roles")[0] == 0
    assert service.all().success


def test_a_tenant_that_cannot_be_created_says_why(service: Service) -> None:
    service.roles()
    service.make("a")
    service.add('op.execute("SELECT nothing")')
    service.patch.setattr(migrations, "config", service.config)
    service.all()
    result = service.one("b")
    assert result.error is not None
    assert result.error.problem.startswith("003_change failed"), result.error


def test_a_role_created_concurrently_by_another_database_is_used(service: Service) -> None:
    service.roles()
    service.make("a")
    service.ask("CREATE ROLE tenant_b NOLOGIN")
    service.patch.setattr(scope, "role_exists", lambda connection, schema: False)
    with service.engine.begin() as connection:
        scope.make_role(connection, "tenant_b")
        assert connection.scalar(sa.text("SELECT 1")) == 1
    service.ask("DROP ROLE tenant_b")


def test_a_role_that_another_database_drops_at_this_moment_is_made_again(service: Service) -> None:
    service.roles()
    service.make("a")
    service.ask("CREATE ROLE tenant_b NOLOGIN")
    make = scope.make_role
    dropped: list[object] = []

    def make_and_drop(connection: sa.Connection, schema: str) -> None:
        make(connection, schema)
        if not dropped:
            dropped.append(service.ask(f"DROP ROLE {schema}"))

    service.patch.setattr(scope, "make_role", make_and_drop)
    result = service.one("b")
    assert result.success, result.error
    assert dropped


def test_a_role_in_use_by_another_database_is_kept_when_the_tenant_is_dropped(
    service: Service,
) -> None:
    service.roles()
    service.make("a")
    other = sa.create_engine(server_url("postgres"), poolclass=sa.NullPool)
    with other.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA beginning AUTHORIZATION tenant_a")
        drop_tenant(service.engine, "a", config=service.config)
        connection.rollback()
    assert service.statuses() == {}
    service.ask("DROP ROLE tenant_a")


def test_the_role_of_the_service_has_no_access_to_tenant_tables(service: Service) -> None:
    service.ordinary_user()
    service.roles()
    service.make("t1", "t2", "t3")
    for statement in ("SELECT * FROM tenant_t1.users", "DELETE FROM tenant_t1.users"):
        with (
            service.engine.connect() as connection,
            pytest.raises(ProgrammingError, match="denied"),
        ):
            connection.execute(sa.text(statement))
    with tenant_session(service.engine, "t1", role=True) as session:
        for reach in ("tenant_t2.users", "tenant_t1.users"):
            with pytest.raises(ProgrammingError, match="permission denied"):
                session.connection().exec_driver_sql(
                    f"DO $$ BEGIN RESET ROLE; PERFORM * FROM {reach}; END $$"
                )
            session.rollback()


@on_one_machine("tenants have no roles (roles-on-citus)")
def test_creating_roles_can_be_continued_after_a_kill_at_any_statement(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roles, "CHUNK", 2)
    service.add(THINGS)
    service.make("t1")
    service.config = replace(service.config, tenant_roles=True)
    point, deaths = 3, 0
    while dies_at(point, lambda: make_tenant_roles(service.engine, config=service.config)):
        service.engine.dispose()
        deaths += 1
        point += 4
        if service.ask(STRANGERS):
            assert [
                finding.tenant for finding in audit_tenants(service.engine, config=service.config)
            ] == ["t1"]
    assert deaths > 3
    assert make_tenant_roles(service.engine, config=service.config) in ([], ["t1"])
    assert service.ask(STRANGERS) == []
    assert audit_tenants(service.engine, config=service.config) == []


def test_an_audit_adds_the_missing_constraint_to_an_older_registry(service: Service) -> None:
    service.make("t1", "t2")
    bound = "UPDATE public.tenants SET schema_name = 'tenant_t3' WHERE id = 't1'"
    with pytest.raises(sa.exc.IntegrityError, match="tenants_schema_of_id_check"):
        service.ask(bound)
    service.ask("ALTER TABLE public.tenants DROP CONSTRAINT tenants_schema_of_id_check")
    assert [finding.tenant for finding in audit_tenants(service.engine)] == ["public.tenants"]
    service.ask(bound)
    problems = [finding.problem for finding in audit_tenants(service.engine, repair=True)]
    assert problems == ["its row names the schema tenant_t3"]
    service.ask("UPDATE public.tenants SET schema_name = 'tenant_t1' WHERE id = 't1'")
    assert service.command("tenant audit --repair")[0] == 0
    assert audit_tenants(service.engine) == []
    with pytest.raises(sa.exc.IntegrityError, match="tenants_schema_of_id_check"):
        service.ask(bound)
