"""``migrate lint`` runs a migration in its schemas: ``public``, a tenant's, or both."""

from __future__ import annotations

from tenants.support import Service

INDEX = 'op.create_index("i", "{}", ["{}"])'


def linted(service: Service) -> list[str]:
    """Lint the pending migrations; return the findings' first lines."""
    code, out, err = service.command("migrate lint")
    assert code in {0, 1}, err
    lines = [line for line in out.splitlines() if line.count(".py:")]
    found = [line for line in lines if "notice:" not in line and "accepted:" not in line]
    assert bool(code) is bool(found)
    return found


def test_a_tenant_table_is_linted_in_a_tenant_schema(service: Service) -> None:
    service.make("a")
    service.add(INDEX.format("users", "name"), 'op.drop_index("i")')
    (found,) = linted(service)
    assert "003_change.py:13: blocks-writes: While an index of users is built" in found


def test_a_shared_table_is_linted_in_public(service: Service) -> None:
    service.all().public.raise_for_error()
    service.add(INDEX.format("tenants", "name"), 'op.drop_index("i")', schemas="shared")
    (found,) = linted(service)
    assert "blocks-writes: While an index of tenants is built" in found


def test_a_finding_for_all_schemas_is_reported_once(service: Service) -> None:
    service.all().public.raise_for_error()
    service.add('op.execute("SELECT nothing")', schemas="all")
    (found,) = linted(service)
    assert "fails" in found


def test_lint_ignore_counts_as_used_if_one_of_the_schemas_needs_it(service: Service) -> None:
    service.all().public.raise_for_error()
    up = ["if op.get_bind().scalar(sa.text(\"SELECT to_regclass('users')\")):"]
    up.append(f"    {INDEX.format('users', 'name')}")
    ignore = 'lint_ignore = {"blocks-writes": "users are few", "lossy": "for no reason"}'
    service.add(up, 'op.execute("DROP INDEX IF EXISTS i")', schemas="all", extra=ignore)
    (found,) = linted(service)
    assert "lint_ignore names lossy, which is not found here." in found


def test_linting_the_first_migrations_changes_no_schema(service: Service) -> None:
    code, out, _ = service.command("migrate lint")
    assert (code, out.splitlines()[-1]) == (0, "2 migrations linted, 0 findings.")
    assert service.ask("SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == []


def test_latest_refuses_a_dangerous_migration_for_tenants(service: Service) -> None:
    service.make("a")
    service.add('op.drop_table("users")', "pass")
    service.patch.setenv("MIGRATION_LINT", "error")
    code, _, err = service.command("migrate latest")
    assert code == 1
    assert "Linting has findings that would hurt a live site in 003_change." in err
    assert service.statuses() == {"a": ("ready", "002")}


def test_make_lints_in_the_schema_of_a_tenant(service: Service) -> None:
    service.make("a")
    service.add(
        'op.add_column("users", sa.Column("nick", sa.Text))', 'op.drop_column("users", "nick")'
    )
    service.all().public.raise_for_error()
    code, out, _ = service.command("migrate make drop_nick")
    assert code == 0
    assert "Old code uses users.nick" in out
