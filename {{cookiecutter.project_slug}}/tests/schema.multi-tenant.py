"""The tables for tests, and a session on them."""

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from {{ cookiecutter.package_name }}.database.tenant_session import TenantSession
from {{ cookiecutter.package_name }}.migrate import run_all_tenant_migrations, run_tenant_migrations

TENANT = "acme"
HEADERS = {"X-Tenant-ID": TENANT}
BEFORE_SEEDS = (f"tenant create {TENANT}",)
SEED_RUN = f"seed run --tenant {TENANT}"


def prepare(engine: Engine) -> None:
    """Create every table, and one tenant."""
    run_all_tenant_migrations(engine).public.raise_for_error()
    run_tenant_migrations(engine, TENANT).raise_for_error()


def open_session(engine: Engine) -> Session:
    """A session on the tenant's tables."""
    return TenantSession(engine, info={"tenant": TENANT, "role": False})
